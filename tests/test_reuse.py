"""A run takes from an earlier one what it would make just the same, and nothing else: held against a fresh run."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aftertune
from aftertune.models.fingerprint import configuration_digest
from aftertune.runs.reuse import SAME, same_roles
from aftertune.runs.run import RunFolder
from aftertune.study.estimate import estimate
from aftertune.study.intent import Intent
from command_line import PROMPTS, CommandLine, doubled, edit_weights, save_prompts
from cost_samples import MACHINE
from head_files import HeadFiles, save_head_files
from tiny import make_model, make_tokenizer

pytest_plugins = ("cli_fixtures",)

# What is changed of each explainer, and the places whose parts differ by it.
CHANGED = {"method": "gradient", "concepts": {"n_words": 3}, "heads": {"seed": 8}, "swaps": 4}
REMADE = ("attribution", "attribution-shared", "concepts", "noise-concepts", "change-concepts")
REMADE += ("heads", "noise-heads", "location/together")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> HeadFiles:
    return save_head_files(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def compared(
    base: Path, tuned: Path, files: HeadFiles, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Compares the tiny pair into a folder of its own, with what is given besides; returns the folder."""
    place = tmp_path_factory.mktemp("reuse")
    save_prompts(place / "prompts.jsonl")

    def run(name: str, pair: tuple[Path, Path] | None = None, **given: Any) -> Path:
        own: dict[str, Any] = {"prompts": place / "prompts.jsonl", "max_new_tokens": 4, "check": 1, "device": "cpu"}
        own |= {"noise_draws": 1, "swaps": 2, "layers": "0", "words": files.words, "vectors": files.vectors}
        own["heads"] = {"n_draws": 1, "n_pairs": 5, "n_top": 10} | given.pop("heads", {})
        own["concepts"] = {"n_components": 4} | given.pop("concepts", {})
        own["outputs"] = {"n_samples": 1, "answer_tokens": 4}
        own["location"] = {"texts": 3, "answer_tokens": 4}
        announce = given.pop("announce", None)
        study = aftertune.Study(*(pair or (base, tuned)), run=place / name, **(own | given))
        aftertune.compare(study, announce=announce)
        return place / name

    return run


@pytest.fixture(scope="module")
def earlier(compared: Callable[..., Path]) -> Path:
    return compared("earlier")


def parts(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.parquet"))}


def without_seal(content: bytes) -> bytes:
    """What a part holds, without what it was made with: other weights of the other model."""
    return re.sub(rb'"made_with": "[0-9a-f]+", "sha256": "[0-9a-f]+"', b"", content)


def taken(run: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((run / "reused.json").read_text())["record"]["parts"]
    return found


def told_of(run: Path) -> Any:
    return json.loads((run / "comparison.json").read_text())["findings"]


def test_the_same_study_takes_everything(compared: Callable[..., Path], earlier: Path) -> None:
    again = compared("again", reuse=earlier)
    assert parts(again) == parts(earlier) and told_of(again) == told_of(earlier)
    counts = taken(again)
    assert sum(counts.values()) - n_json(counts) == sum(map(is_taken, parts(earlier)))


def test_what_is_taken_equals_what_would_have_been_measured(compared: Callable[..., Path], earlier: Path) -> None:
    fresh, reused = compared("fresh", **CHANGED), compared("reused", reuse=earlier, **CHANGED)
    assert parts(reused) == parts(fresh) and told_of(reused) == told_of(fresh)
    same = [path for path in parts(earlier) if is_taken(path) and not path.startswith(tuple(f"{p}/" for p in REMADE))]
    assert sum(taken(reused).values()) == len(same) > 20
    reasons = json.loads((reused / "reused.json").read_text())["record"]["reasons"]
    assert reasons["concepts"] == "n_words was 15, is now 3" and "seed" in reasons["heads"]


def test_what_will_be_taken_is_not_in_the_time_that_is_told(compared: Callable[..., Path], earlier: Path) -> None:
    class StopError(Exception):
        pass

    told: list[set[str]] = []

    def stop(intent: Intent) -> None:
        told.append({stage.step for stage, seconds in estimate(intent, MACHINE).most.items() if seconds})
        raise StopError

    for given in ({"reuse": earlier}, {}, CHANGED | {"reuse": earlier}, {"dtype": "float64", "reuse": earlier}):
        with pytest.raises(StopError):
            compared("foreseen", announce=stop, **given)
    same, fresh, changed, other = told
    assert same == {"loading", "named", "report"}, "what is named is known afterwards"
    assert fresh == other > {"responses", "attribution", "heads", "concepts", "swaps", "sizes", "texts"}
    assert changed == fresh - {"responses", "sizes", "answers", "sampled answers", "texts", "free samples"}


def is_taken(path: str) -> bool:
    """Whether a file is a part, and neither a list of words nor made of the parts."""
    return path.count("/") > 1 and "/words/" not in path


def n_json(counts: dict[str, int]) -> int:
    """The file that says in which layers a change of weights was read goes with its parts."""
    return int(counts["concepts"] > 0)


def test_nothing_of_other_checkpoints_or_prompts_is_taken(
    compared: Callable[..., Path], earlier: Path, base: Path, tuned: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(tuned, tmp_path / "tuned"))
    edit_weights(other / "model.safetensors", doubled("layers.0.self_attn.q_proj"))
    found = compared("other weights", (base, other), reuse=earlier, only=("location", "attribution"))
    before = {path: without_seal(content) for path, content in parts(earlier).items()}
    shared = {path for path, content in parts(found).items() if before.get(path) == without_seal(content)}
    assert taken(found) == {"location": 0, "attribution": 2 * len(PROMPTS)}, "responses and maps of the base"
    assert {path for path in shared if path.startswith("attribution-responses/base/")} and not any(
        path.startswith("attribution/tuned/") for path in shared
    )

    prompts = save_prompts(tmp_path / "other.jsonl", ["the mat sat", "rewrite the cat", "the text"])
    counts = taken(compared("other prompts", prompts=prompts, reuse=earlier, only=("location", "attribution")))
    assert counts == {"location": 1, "attribution": 0}, "the sizes, which depend on no prompt"


@pytest.mark.parametrize("name", [None, *SAME])
def test_a_model_is_the_same_if_all_that_decides_is(tmp_path: Path, name: str | None) -> None:
    about = {one: f"some {one}" for one in SAME}
    runs = []
    for place, told in (("old", about), ("new", about | ({name: "another"} if name else {}))):
        run = RunFolder.start(tmp_path / place, {"base": {}, "tuned": {}}, {"aftertune": "0"})
        for role, more in (("base", {}), ("tuned", {"fingerprint": f"of {place}"})):
            run.claim(f"{role}.json", {}, told | more)
        runs.append(run)
    assert same_roles(*runs) == ({"base": "base"} if name is None else {})
    assert same_roles(runs[0], runs[0]) == {"base": "base", "tuned": "tuned"}


def test_a_run_that_does_not_say_what_decides_gives_nothing(tmp_path: Path) -> None:
    run = RunFolder.start(tmp_path, {"base": {}, "tuned": {}}, {"aftertune": "0"})
    for role in ("base", "tuned"):
        run.claim(f"{role}.json", {}, {one: "the same" for one in SAME if one != "configuration"})
    assert same_roles(run, run) == {}


def test_the_digest_of_a_configuration_is_of_what_it_does() -> None:
    model, tokenizer = make_model(), make_tokenizer()
    first = configuration_digest(model, tokenizer)
    tokenizer(["the cat", "the"], padding=True, truncation=True, max_length=1)
    model.config._name_or_path = "elsewhere"
    assert configuration_digest(model, tokenizer) == first
    for edit in (
        lambda: setattr(tokenizer, "chat_template", "{{ messages[0].content }}!"),
        lambda: setattr(model.config, "rms_norm_eps", 1e-3),
        lambda: setattr(model.generation_config, "repetition_penalty", 2.0),
        lambda: tokenizer.add_tokens(["unheard"]),
    ):
        before = configuration_digest(model, tokenizer)
        edit()
        assert configuration_digest(model, tokenizer) != before


def test_a_run_of_one_model_lends_its_parts_and_the_line_says_so(
    cli: CommandLine, base: Path, tuned: Path, files: HeadFiles
) -> None:
    words = ("--words", str(files.words), "--layers", "0")
    cli.succeeds("concepts", tuned, "--run", "single", *words, "--components", "4")
    more = (*words, "--components", "4", "--only", "concepts", "--run", "pair")
    told = cli.succeeds("compare", base, tuned, *more, "--reuse", "single")
    assert "Taken from single: concepts (3 parts)." in told
    cli.succeeds("compare", base, tuned, *more[:-1], "fresh")
    assert parts(cli.folder / "pair") == parts(cli.folder / "fresh")


def test_a_run_that_is_none_or_this_one_is_refused(cli: CommandLine, base: Path, tuned: Path) -> None:
    pair = ("compare", base, tuned, "--only", "concepts", "--run", "new")
    assert cli.refuses(*pair, "--reuse", "nowhere").startswith("There is no run at nowhere")
    assert cli.refuses(*pair, "--reuse", "new/") == (
        "new/ is the folder of this run, which goes on with its own parts. Leave reuse out."
    )
