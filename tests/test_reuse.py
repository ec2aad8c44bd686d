"""A run takes from an earlier one what it would make just the same, and nothing else: held against a fresh run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aftertune
from aftertune.models.fingerprint import configuration_digest
from command_line import CommandLine, doubled, edit_json, edit_weights, save_prompts
from head_files import HeadFiles, save_head_files
from tiny import make_model, make_tokenizer

pytest_plugins = ("cli_fixtures",)

CHANGED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "another method": ({"method": "gradient"}, {"attribution", "attribution-shared"}),
    "shorter responses": ({"max_new_tokens": 3}, {"responses", "attribution", "attribution-shared"}),
    "other words": ({"concepts": {"n_words": 3}}, {"concepts", "noise-concepts", "change-concepts"}),
    "another draw": ({"heads": {"seed": 8}}, {"heads", "noise-heads"}),
    "more swaps": ({"swaps": 4}, {"location/together"}),
}


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
        aftertune.compare(aftertune.Study(*(pair or (base, tuned)), run=place / name, **(own | given)))
        return place / name

    return run


@pytest.fixture(scope="module")
def earlier(compared: Callable[..., Path]) -> Path:
    return compared("earlier")


def parts(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.parquet"))}


def taken(run: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((run / "reused.json").read_text())["record"]["parts"]
    return found


def told_of(run: Path) -> Any:
    return json.loads((run / "comparison.json").read_text())["findings"]


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_taken_equals_what_would_have_been_measured(
    compared: Callable[..., Path], earlier: Path, name: str
) -> None:
    given, remade = CHANGED[name]
    fresh, reused = compared(f"{name}, fresh", **given), compared(f"{name}, reused", reuse=earlier, **given)
    assert parts(reused) == parts(fresh) and told_of(reused) == told_of(fresh)
    n_same = sum(not any(path.startswith(f"{one}/") for one in remade) for path in parts(earlier) if is_taken(path))
    assert sum(taken(reused).values()) - n_json(taken(reused)) == n_same


def is_taken(path: str) -> bool:
    """Whether a file is a part, and neither a list of words nor made of the parts."""
    return path.count("/") > 1 and "/words/" not in path


def n_json(counts: dict[str, int]) -> int:
    """The file that says in which layers a change of weights was read goes with its parts."""
    return int(counts["concepts"] > 0)


def test_nothing_of_other_checkpoints_prompts_or_tokens_is_taken(
    compared: Callable[..., Path], earlier: Path, base: Path, tuned: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(tuned, tmp_path / "tuned"))
    edit_weights(other / "model.safetensors", doubled("layers.0.self_attn.q_proj"))
    found = compared("other weights", (base, other), reuse=earlier)
    counts = taken(found)
    assert counts["outputs"] == counts["location"] == 0 < counts["heads"], "of the base alone"
    everything = taken(compared("all", reuse=earlier))
    assert all(0 < counts[one] < everything[one] for one in ("attribution", "heads", "concepts"))

    prompts = save_prompts(tmp_path / "other.jsonl", ["the mat sat", "rewrite the cat", "the text"])
    counts = taken(compared("other prompts", prompts=prompts, reuse=earlier))
    assert counts["attribution"] == counts["outputs"] == 0 < counts["heads"]
    assert counts["location"] == 1, "the sizes, which hang on no prompt"


@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer.json"])
def test_weights_alone_do_not_make_a_checkpoint_the_same(
    compared: Callable[..., Path], earlier: Path, base: Path, tuned: Path, tmp_path: Path, file: str
) -> None:
    pair = [Path(shutil.copytree(one, tmp_path / one.name)) for one in (base, tuned)]
    for one in pair:
        if file == "tokenizer.json":
            edit_json(one / file, normalizer={"type": "Lowercase"})
        else:
            edit_json(one / file, **({"rms_norm_eps": 1e-3} if file == "config.json" else {"repetition_penalty": 2.0}))
    found = compared(file, tuple(pair), reuse=earlier, only="attribution")
    assert taken(found) == {"attribution": 0}


def test_the_digest_of_a_configuration_is_of_what_it_does() -> None:
    model, tokenizer = make_model(), make_tokenizer()
    first = configuration_digest(model, tokenizer)
    tokenizer(["the cat", "the"], padding=True, truncation=True, max_length=1)
    model.config._name_or_path = "elsewhere"
    assert configuration_digest(model, tokenizer) == first
    tokenizer.chat_template = "{{ messages[0].content }}!"
    assert configuration_digest(model, tokenizer) != first


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
