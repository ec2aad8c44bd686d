"""Heads in the whole comparison of two tiny checkpoints: run folder, report, and the same numbers by other ways."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, LlamaConfig

import aftertune
from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.result import FRAMES
from aftertune.explainers.heads.verbs import INSTRUCTION_VERBS
from command_line import PROMPTS, save_prompts, snapshot
from head_files import HeadFiles, save_head_files
from tiny import SHARED, make_tokenizer

pytest_plugins = ("cli_fixtures",)

LAYER = aftertune.HeadPlan(layers="0", n_draws=0)
OF_VERBS = {"asked", "verbs_present", "verbs_missing", "table3", "heads"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> HeadFiles:
    return save_head_files(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def folder(base: Path, tuned: Path, files: HeadFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of heads; `run` is a copy of it."""
    place = tmp_path_factory.mktemp("heads") / "run"
    compare(base, tuned, place, files, aftertune.HeadPlan(seed=3))
    return place


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "run"))


def compare(
    base: Path,
    tuned: Path,
    run: Path | str,
    files: HeadFiles,
    plan: aftertune.HeadPlan = LAYER,
    verbs: Any = None,
    skip: Sequence[str] = ("attribution", "concepts"),
    **settings: Any,
) -> Comparison:
    study = aftertune.HeadStudy(files.words, files.vectors, verbs, plan)
    return aftertune.compare(base, tuned, run, heads=study, skip=skip, device="cpu", **settings)


def refused(place: Path, *given: Any, **named: Any) -> str:
    """The message of a refusal that leaves the folder as it was."""
    before = snapshot(place)
    with pytest.raises(aftertune.AftertuneError) as caught:
        compare(*given, **named)
    assert snapshot(place) == before
    return str(caught.value)


def heads_of(found: Comparison) -> HeadChange:
    assert found.heads is not None
    return found.heads


def test_the_folder_keeps_every_layer_and_the_report(folder: Path) -> None:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    layers = [(role, layer) for role in ("base", "tuned") for layer in range(3)]
    parts = {f"heads/{name}/{role}/layer-{layer:03d}.parquet" for name in FRAMES for role, layer in layers}
    settings = {"run", "names", "heads", "heads-base", "heads-tuned", "base", "tuned", "verbs", "comparison"}
    assert files >= parts | {f"{name}.json" for name in settings} | {"report.html", "heads/words/words.parquet"}
    assert {name for name in files if name.startswith("heads/")} == parts | {"heads/words/words.parquet"}
    assert not {"prompts.json", "maps.parquet"} & files
    assert "n_top" in json.loads((folder / "heads.json").read_text())["identity"]["plan"]


def test_the_comparison_is_that_of_both_readings(base: Path, tuned: Path, files: HeadFiles, folder: Path) -> None:
    plan = aftertune.HeadPlan(seed=3)
    both = [aftertune.read_heads(aftertune.load(path), files.words, files.vectors, plan) for path in (base, tuned)]
    expected, found = aftertune.compare_heads(*both), heads_of(aftertune.write_report(folder))
    assert found.to_dict() == expected.to_dict()
    for name in ("heads", "pairs", "neurons", "verbs", "neurons_base", "neurons_tuned"):
        assert getattr(found, name).equals(getattr(expected, name)), name
    row = found.figure2[0]
    assert row.distance.mean is not None and row.distance.mean > 0.5 and len(row.controls) == 2
    for role, reading in zip(("base", "tuned"), both, strict=True):
        saved = aftertune.open_heads(folder, role)
        assert saved.pairs.equals(reading.pairs) and saved.controls.equals(reading.controls)
        assert (saved.words, saved.settings, saved.model) == (reading.words, reading.settings, role)


def test_the_report_comes_again_from_the_saved_run_without_torch(run: Path) -> None:
    before = snapshot(run)
    (run / "report.html").unlink()
    code = (
        "import sys, aftertune; aftertune.write_report(sys.argv[1]); print({'torch', 'transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, run], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
    assert snapshot(run) == before


def test_a_finished_run_is_not_read_again(base: Path, tuned: Path, files: HeadFiles, run: Path) -> None:
    before, seen = snapshot(run), list[str]()
    plan = aftertune.HeadPlan(seed=3)
    compare(base, tuned, run, files, plan, progress=lambda what, *_: seen.append(what))
    assert set(seen) == {"report"} and snapshot(run) == before


def test_verbs_change_table3_only_and_are_remembered(base: Path, tuned: Path, files: HeadFiles, run: Path) -> None:
    before = heads_of(aftertune.write_report(run))
    found = heads_of(aftertune.write_report(run, ["write", "Bababa", "zzz"]))
    data, old = found.to_dict(), before.to_dict()
    assert {name for name in data if data[name] != old[name]} == OF_VERBS
    assert found.heads.drop("verbs_gained", "verbs_lost").equals(before.heads.drop("verbs_gained", "verbs_lost"))
    assert found.pairs.equals(before.pairs)
    assert (found.verbs_present, found.verbs_missing) == (("write", "bababa"), ("zzz",))
    assert heads_of(aftertune.write_report(run)).to_dict() == data
    of_file = heads_of(aftertune.write_report(run, files.verbs))
    assert of_file.asked == "the words of verbs.txt" and of_file.to_dict() == data | {"asked": of_file.asked}
    assert (
        heads_of(compare(base, tuned, run, files, aftertune.HeadPlan(seed=3), files.verbs)).to_dict()
        == of_file.to_dict()
    )
    assert heads_of(compare(base, tuned, run, files, aftertune.HeadPlan(seed=3))).to_dict() == old
    assert before.asked == "instruction verbs" and before.verbs_present == INSTRUCTION_VERBS


def test_verbs_that_can_not_be_used_are_not_remembered(run: Path) -> None:
    before = snapshot(run)
    for verbs in (["zzz"], [], "none.txt", [1], run):
        with pytest.raises(aftertune.WordError):
            aftertune.write_report(run, verbs)
    assert snapshot(run) == before


@pytest.mark.parametrize(
    ("skip", "text"),
    [
        (["attribution", "heads", "concepts"], "All parts of the comparison are skipped. The parts are attribution, "),
        (["head"], "'head' is no part of a comparison. The parts are attribution, heads, concepts; leave out two"),
        ("head", "'head' is no part"),
    ],
)
def test_skipping_all_or_an_unknown_part(
    base: Path, tuned: Path, files: HeadFiles, tmp_path: Path, skip: Sequence[str], text: str
) -> None:
    assert text in refused(tmp_path, base, tuned, tmp_path / "run", files, skip=skip)


def test_attribution_goes_on_with_heads_and_heads_alone_say_what_differs(
    base: Path, tuned: Path, files: HeadFiles, run: Path, tmp_path: Path
) -> None:
    both = {"prompts": save_prompts(tmp_path / "prompts.jsonl", PROMPTS[:2]), "plan": aftertune.Plan("raw", 3, check=0)}
    message = refused_with_attribution(tmp_path, base, tuned, run, files, both)
    assert f"{run} holds a run with other settings: prompts was not set, is now " in message
    assert "settings.max_new_tokens was not set, is now 3" in message
    aftertune.compare(base, tuned, tmp_path / "both", skip=["heads", "concepts"], device="cpu", **both)
    before, seen = snapshot(tmp_path / "both" / "attribution"), list[str]()
    study = aftertune.HeadStudy(files.words, files.vectors, plan=LAYER)
    told = lambda what, *_: seen.append(what)  # noqa: E731
    found = aftertune.compare(
        base, tuned, tmp_path / "both", heads=study, skip=["concepts"], device="cpu", progress=told, **both
    )
    assert snapshot(tmp_path / "both" / "attribution") == before
    assert heads_of(found).layers == (0,) and len(found.instances) == 2
    assert found.to_dict()["heads"]["figure2"] and found.to_dict()["table2"]
    assert {"base: loading", "base: heads", "tuned: heads"} <= set(seen)
    again = aftertune.write_report(tmp_path / "both")
    assert again.to_dict() == found.to_dict()


def refused_with_attribution(
    place: Path, base: Path, tuned: Path, run: Path, files: HeadFiles, both: dict[str, Any]
) -> str:
    before, study = snapshot(place), aftertune.HeadStudy(files.words, files.vectors)
    with pytest.raises(aftertune.RunError) as caught:
        aftertune.compare(base, tuned, run, heads=study, skip=["concepts"], device="cpu", **both)
    assert snapshot(place) == before
    return str(caught.value)


def test_other_numbers_of_heads_are_refused_before_anything_is_read(
    base: Path, files: HeadFiles, tmp_path: Path
) -> None:
    other = AutoModelForCausalLM.from_config(LlamaConfig(**SHARED, num_attention_heads=2, num_key_value_heads=2))
    other.save_pretrained(tmp_path / "other")
    make_tokenizer().save_pretrained(tmp_path / "other")
    assert refused(tmp_path, base, tmp_path / "other", tmp_path / "run", files) == (
        "The two checkpoints have other attention heads: 3 layers of 4 heads (2 for keys) of 8 neurons against 3 "
        "layers of 2 heads (2 for keys) of 16 neurons, and head is compared with head, layer with layer. Give a model "
        "and its tune, or skip heads and concepts."
    )


def test_equal_checkpoints_have_distance_0_everywhere(base: Path, files: HeadFiles, tmp_path: Path) -> None:
    found = heads_of(compare(base, base, tmp_path / "same", files))
    assert (found.base, found.tuned) == ("base (base)", "base (tuned)")
    distances = found.heads.select("distance", "neuron_distance").drop_nulls()
    assert distances.height == 4 and set(distances.rows()) == {(0.0, 0.0)}
    assert {row.distance.mean for row in found.figure2} == {0.0}
    assert all(row.instruction.n == row.general.n == 0 for row in found.table3)
    assert "same weights" in (tmp_path / "same" / "report.html").read_text("utf-8")


def test_a_run_of_heads_can_lie_at_any_address(base: Path, tuned: Path, files: HeadFiles, tmp_path: Path) -> None:
    import fsspec

    found = heads_of(compare(base, tuned, "memory://heads", files))
    assert found.to_dict() == heads_of(compare(base, tuned, tmp_path / "run", files)).to_dict()
    memory = fsspec.filesystem("memory")
    assert memory.cat("/heads/report.html").startswith(b"<!doctype html>")
    for path in (tmp_path / "run" / "heads").rglob("*.parquet"):
        assert memory.cat(f"/heads/{path.relative_to(tmp_path / 'run').as_posix()}") == path.read_bytes()


def test_other_words_vectors_or_settings_in_the_same_folder_are_refused(
    base: Path, tuned: Path, files: HeadFiles, run: Path, tmp_path: Path
) -> None:
    plan = aftertune.HeadPlan(seed=3)
    fewer = tmp_path / "fewer.txt"
    fewer.write_text("\n".join(files.words.read_text().split()[:-2]))
    other = HeadFiles(fewer, files.vectors, files.verbs)
    message = refused(run, base, tuned, run, other, plan)
    assert 'heads.words.n was 300, is now 298; heads.words.sha256 was "' in message
    assert 'heads.words.source was "words.txt", is now "fewer.txt"' in message
    half = HeadFiles(files.words, tmp_path / "vectors.txt", files.verbs)
    half.vectors.write_text("".join(files.vectors.read_text().splitlines(keepends=True)[:200]))
    assert 'heads.vectors.sha256 was "' in refused(run, base, tuned, run, half, plan)
    # A selection of layers must not change what the folder shows where the run is refused.
    layer = aftertune.HeadPlan(seed=4, layers="0")
    assert "heads.plan.seed was 3, is now 4. Repeat it with its own" in refused(run, base, tuned, run, files, layer)


def test_a_run_goes_on_with_more_layers_and_shows_those_asked_for(
    base: Path, tuned: Path, files: HeadFiles, tmp_path: Path
) -> None:
    run, seen = tmp_path / "run", list[tuple[str, float]]()
    compare(base, tuned, run, files)
    before = {path: path.stat().st_mtime_ns for path in (run / "heads").rglob("*.parquet")}
    plan = aftertune.HeadPlan(n_draws=0, layers="0,2")
    found = heads_of(compare(base, tuned, run, files, plan, progress=lambda what, done, _: seen.append((what, done))))
    assert found.layers == (0, 2) and seen
    assert all(path.stat().st_mtime_ns == time for path, time in before.items()), "a layer was read again"
    seen.clear()
    again = heads_of(compare(base, tuned, run, files, progress=lambda what, done, _: seen.append((what, done))))
    assert again.layers == (0,) and {what for what, _ in seen} == {"report"}
    assert heads_of(aftertune.write_report(run)).layers == aftertune.open_heads(run, "tuned").layers == (0,)


@pytest.mark.parametrize("part", ["neurons/base/layer-001", "pairs/tuned/layer-000", "words/words"])
def test_a_damaged_part_is_named_and_made_anew(
    base: Path, tuned: Path, files: HeadFiles, run: Path, folder: Path, part: str
) -> None:
    damaged, plan = run / "heads" / f"{part}.parquet", aftertune.HeadPlan(seed=3)
    damaged.write_bytes(b"PAR1 damaged")
    message = refused(run, base, tuned, run, files, plan)
    assert message.startswith(f"{damaged} could not be read as Parquet: ")
    assert message.endswith(" Delete that file; the same command, given again, makes it anew.")
    damaged.unlink()
    compare(base, tuned, run, files, plan)
    assert snapshot(run) == snapshot(folder)


def test_heads_of_a_role_that_a_run_does_not_hold(base: Path, files: HeadFiles, run: Path, tmp_path: Path) -> None:
    from aftertune.study.layerwise import make_lexicon_of, read_heads_of
    from aftertune.study.study import read_into_run

    with pytest.raises(aftertune.RunError, match=r"run holds the heads of base and tuned, not of 'model'\. Ask for"):
        aftertune.open_heads(run)
    study = aftertune.HeadStudy(files.words, files.vectors, plan=LAYER)
    read_into_run(base, tmp_path / "one", read_heads_of(make_lexicon_of(study)), device="cpu")
    assert aftertune.open_heads(tmp_path / "one").layers == (0,)
    with pytest.raises(aftertune.RunError, match=r"one holds the heads of model, not of 'tuned'\. Ask for a role"):
        aftertune.open_heads(tmp_path / "one", "tuned")
    with pytest.raises(aftertune.RunError, match=r"holds one model\. A report is of two: give the folder"):
        aftertune.write_report(tmp_path / "one")
