"""A settings file stands in for flags, and a run keeps one that repeats it."""

import json
from pathlib import Path

import pytest
import yaml

from aftertune.models.subject import Subject, run_name
from command_line import QUICK, CommandLine

pytest_plugins = ("cli_fixtures",)

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
        assert (cli.folder / "first" / name).read_bytes() == (cli.folder / "second" / name).read_bytes()


def test_the_command_line_wins(cli: CommandLine, base: Path, tuned: Path, prompts: Path) -> None:
    file = save(cli.folder / "mine.yaml", **PLAIN | {"skip": ["attribution"], "run": "theirs", "only": None})
    given = ("compare", base, tuned, "--config", file, "--prompts", prompts)
    told = cli.run(*given, "--only", "attribution", "--limit", "1", "--run", "ours")
    assert told.code == 0 and not (cli.folder / "theirs").exists()
    settings = yaml.safe_load((cli.folder / "ours" / "settings.yaml").read_text())
    assert (settings["limit"], settings["only"], settings["skip"]) == (1, ["attribution"], [])
    assert "prompts     1 (prompts)" in told.err and "skipped     heads, concepts" in told.err


def test_without_run_the_folder_is_named_after_the_models(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path
) -> None:
    ended = cli.run("compare", base, tuned, "--prompts", prompts, "--limit", "1", *QUICK)
    assert ended.out.endswith("\nReport: runs/base-tuned/report.html\n"), ended
    assert "run         runs/base-tuned\n" in ended.err and "time        about " in ended.err


def test_names_of_runs_are_names_of_files() -> None:
    subjects = [Subject("org/Model 1.5: b"), Subject("x.gguf", "my/lora-ä"), Subject("y", name="../../etc")]
    assert run_name(subjects) == "Model-1.5-b-x-lora-ä-etc"
    assert len(run_name([Subject("x" * 300)])) == 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "max_new_token: 3",
            "holds the setting 'max_new_token', which is not known. Known: base, tuned, run, prompts,",
        ),
        ("max-new-tokens: many", "sets max-new-tokens to 'many'. Give a whole number."),
        ("max-new-tokens: 2.5", "sets max-new-tokens to 2.5. Give a whole number."),
        ("max-new-tokens: true", "sets max-new-tokens to True. Give a whole number."),
        ("min-coverage: half", "sets min-coverage to 'half'. Give a number."),
        ("trust-remote-code: 'yes'", "sets trust-remote-code to 'yes'. Give true or false."),
        ("skip: [{a: 1}]", "sets skip to {'a': 1}. Give a text."),
        ("layers: [0, 1]", "sets layers to [0, 1]. Give a text."),
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
    assert told == "There is no file none.yaml. Give a YAML file with settings."
    assert "can't be read" in cli.refuses("compare", base, tuned, "--config", ".")


def test_a_number_in_a_file_is_held_to_the_same_limits(cli: CommandLine, base: Path, tuned: Path) -> None:
    file = save(cli.folder / "mine.yaml", limit=0)
    assert "--limit" in cli.refuses_usage("compare", base, tuned, "--config", file)


def test_only_and_skip_contradict(cli: CommandLine, base: Path, tuned: Path) -> None:
    told = cli.refuses("compare", base, tuned, "--only", "heads", "--skip", "concepts")
    assert told == "--only and --skip both say which parts are computed. Give one of the two."
    told = cli.refuses("compare", base, tuned, "--only", "tails")
    assert told == "'tails' is no part of a comparison. The parts are attribution, heads, concepts."
