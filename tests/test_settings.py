"""A settings file stands in for flags, and a run keeps one that repeats it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import aftertune
from aftertune.cli.settings_file import read_settings
from aftertune.errors import RunError
from aftertune.models.subject import Subject, run_name
from aftertune.study.study import Study
from command_line import QUICK, CommandLine

pytest_plugins = ("cli_fixtures",)

RUNS = re.compile(rb"(\.\./)?\b(first|second)\b")  # what commands to copy name
PLACE = re.compile(rb"[^\s\"<>]*/(?=prompts\.jsonl)")
PLAIN = {"max-new-tokens": 4, "device": "cpu", "check": 1, "only": "attribution", "limit": 2}


def save(path: Path, **settings: object) -> Path:
    path.write_text(yaml.safe_dump({name.replace("_", "-"): value for name, value in settings.items()}))
    return path


def run_json(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "run.json").read_text())
    return found


def test_a_file_holds_all_that_flags_can_and_a_run_keeps_it(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = PLAIN | {"base": str(base), "tuned": str(tuned), "prompts": "prompts.jsonl"}
    file = save(cli.folder / "mine.yaml", **given)
    cli.succeeds("compare", "--config", file, "--run", "first")
    kept = yaml.safe_load((cli.folder / "first" / "settings.yaml").read_text())
    assert (kept["base"], kept["tuned"], kept["prompts"]) == (str(base), [str(tuned)], str(prompts))
    assert (kept["max-new-tokens"], kept["only"], kept["route"], kept["min-coverage"]) == (
        4,
        ["attribution"],
        "auto",
        0.5,
    )
    assert not {"run", "json", "as-json", "config"} & kept.keys()
    (cli.folder / "elsewhere").mkdir()
    monkeypatch.chdir(cli.folder / "elsewhere")
    cli.succeeds("compare", "--config", "../first/settings.yaml", "--run", "../second")
    assert run_json(cli.folder / "first") == run_json(cli.folder / "second")
    names = {"settings.yaml", "report.html"}
    for name in names:
        texts = [(cli.folder / run / name).read_bytes() for run in ("first", "second")]
        one, other = (PLACE.sub(b"", RUNS.sub(b"RUN", text)) for text in texts)
        assert one == other


def test_the_command_line_wins(cli: CommandLine, base: Path, tuned: Path, prompts: Path) -> None:
    file = save(cli.folder / "mine.yaml", **PLAIN | {"skip": ["attribution"], "run": "theirs", "only": None})
    given = ("compare", base, tuned, "--config", file, "--prompts", prompts)
    told = cli.run(*given, "--only", "attribution", "--limit", "1", "--run", "ours")
    assert told.code == 0 and not (cli.folder / "theirs").exists()
    settings = yaml.safe_load((cli.folder / "ours" / "settings.yaml").read_text())
    assert (settings["limit"], settings["only"], settings["skip"]) == (1, ["attribution"], [])
    assert "prompts     1 " in told.err and "skipped     outputs, location, heads, concepts" in told.err


def test_without_run_the_folder_is_named_after_the_models(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path
) -> None:
    ended = cli.run("compare", base, tuned, "--prompts", prompts, "--limit", "1", *QUICK)
    assert ended.out.endswith("\nReport: runs/base-tuned/report.html\n"), ended
    assert "run         runs/base-tuned\n" in ended.err and "time        about " in ended.err


def test_names_of_runs_are_names_of_files() -> None:
    subjects = [Subject("org/Model 1.5: b"), Subject("x.gguf", "my/lora-ä"), Subject("y", name="../../etc")]
    assert run_name(subjects) == "Model-1.5-b-x-lora-ä-etc"
    assert len(run_name([Subject("x" * 200)])) == 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_new_token: 3", "'max_new_token', which is not known. Did you mean max-new-tokens?"),
        ("max-new-tokens: many", "max_new_tokens is 'many'"),
        ("max-new-tokens: 2.5", "max_new_tokens is 2.5"),
        ("max-new-tokens: true", "max_new_tokens is True"),
        ("min-coverage: half", "min_coverage is 'half'"),
        ("trust-remote-code: 'yes'", "trust_remote_code is 'yes'"),
        ("skip: [{a: 1}]", "{'a': 1}"),
        ("layers: [0, 1]", "layers"),
        ("limit: 0", "limit is 0"),
        (
            "template: chatty",
            "'chatty' is not known, and no file. Allowed: auto, chat, raw, rendered, base, tuned, or ",
        ),
        ("heads: 3", "The settings of heads are given as 3"),
        ("heads: {layer: 3}", "'layer' is no setting"),
        ("check: 1\nmax-new-tokens: 1\nmax_new_tokens: 2", "twice, with a hyphen and an underscore. Give it once."),
        ("a: [1", "is no YAML: "),
        ("- compare", "holds a list, not settings."),
        ("", "holds nothing, not settings."),
    ],
)
def test_a_file_that_cannot_be_used(cli: CommandLine, base: Path, tuned: Path, text: str, said: str) -> None:
    file = cli.folder / "bad.yaml"
    file.write_text(text)
    assert said in cli.refuses("compare", base, tuned, "--config", file)


def test_a_file_that_is_not_there(cli: CommandLine, base: Path, tuned: Path) -> None:
    told = cli.refuses("compare", base, tuned, "--config", "none.yaml")
    assert told == "There is no file at none.yaml. Give a YAML file with settings."
    assert "is a folder" in cli.refuses("compare", base, tuned, "--config", ".")


def test_a_section_holds_the_settings_of_one_explainer(cli: CommandLine, base: Path, tuned: Path) -> None:
    file = save(cli.folder / "mine.yaml", only=["heads", "concepts"], layers="0-1", concepts={"layers": "2"})
    study = Study(str(base), str(tuned), **read_settings(file, {}))
    assert (study.settings["heads"].layers, study.settings["concepts"].layers) == ("0-1", "2")
    assert read_settings(file, {"skip": ["heads"]}) == {"layers": "0-1", "concepts": {"layers": "2"}, "skip": ["heads"]}


def test_what_a_study_says_flat_makes_the_same_study(base: Path, tuned: Path) -> None:
    study = Study(
        Subject(base, "adapter"), [tuned, Subject(tuned, name="b")], layers="1", concepts={"layers": "0", "n_words": 3}
    )
    flat = study.flat()
    assert (flat["layers"], flat["concepts"]) == ("1", {"n_words": 3, "layers": "0"})
    assert (flat["base_adapter"], flat["tuned_name"]) == ("adapter", ["", "b"])
    assert Study(**flat, run=study.run).flat() == flat


def test_explainers_may_be_named_with_commas() -> None:
    assert aftertune.Study("a", "b", only="outputs, location").only == ("outputs", "location")
    assert aftertune.Study("a", "b", skip=["heads,concepts", "location"]).skip == ("heads", "concepts", "location")


def test_only_and_skip_contradict(cli: CommandLine, base: Path, tuned: Path) -> None:
    assert "Give one of the two." in cli.refuses("compare", base, tuned, "--only", "heads", "--skip", "concepts")
    told = cli.refuses("compare", base, tuned, "--only", "tails")
    assert "'tails'" in told and "outputs, location, attribution, heads, concepts" in told


def test_checkpoints_must_be_named(cli: CommandLine, base: Path) -> None:
    assert cli.refuses("compare").startswith("No base checkpoint was given.")
    assert cli.refuses("compare", base).startswith("No tuned checkpoint was given.")


@pytest.mark.parametrize("given", [3, 2.5, True, {1}])
def test_tuned_checkpoints_that_are_no_place_are_refused(given: Any) -> None:
    with pytest.raises(RunError, match="Give a hub id, a folder, or"):
        aftertune.Study("base", given)
