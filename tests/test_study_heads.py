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
from aftertune.errors import AnnotationError
from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.result import FRAMES
from aftertune.explainers.heads.verbs import INSTRUCTION_VERBS
from aftertune.study.annotate import name_tuning
from aftertune.study.comparison import Comparison
from command_line import PROMPTS, doubled, edit_weights, save_prompts, snapshot
from conftest import Draw
from head_files import HeadFiles, save_head_files
from tiny import SHARED, make_tokenizer

pytest_plugins = ("cli_fixtures",)

LAYER = {"layers": "0", "n_draws": 0}
SEED = {"seed": 3, "noise_models": 0}
OF_VERBS = {"verbs_name", "verbs_present", "verbs_missing", "table3", "heads"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> HeadFiles:
    return save_head_files(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def folder(base: Path, tuned: Path, files: HeadFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of heads; `run` is a copy of it."""
    place = tmp_path_factory.mktemp("heads") / "run"
    compare(base, tuned, place, files, SEED)
    return place


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "run"))


def study(
    base: Path, tuned: Path, run: Path | str, files: HeadFiles, how: dict[str, Any], **given: Any
) -> aftertune.Study:
    heads = {"words": files.words, "vectors": files.vectors} | how
    return aftertune.Study(base, tuned, run=run, heads=heads, device="cpu", **given)


def compare(
    base: Path,
    tuned: Path,
    run: Path | str,
    files: HeadFiles,
    how: dict[str, Any] = LAYER,
    verbs: Any = None,
    skip: Sequence[str] = ("outputs", "location", "attribution", "concepts"),
    **called: Any,
) -> Comparison:
    return aftertune.compare(study(base, tuned, run, files, how | {"verbs": verbs}, skip=skip), **called)


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
    settings = {"run", "names", "heads", "heads-base", "heads-tuned", "base", "tuned", "asked", "comparison"}
    assert files >= parts | {f"{name}.json" for name in settings} | {"report.html", "heads/words/words.parquet"}
    assert {name for name in files if name.startswith("heads/")} == parts | {"heads/words/words.parquet"}
    assert not {"prompts.json", "maps.parquet"} & files
    assert "n_top" in json.loads((folder / "heads.json").read_text())["identity"]["plan"]


def test_the_comparison_is_that_of_both_readings(base: Path, tuned: Path, files: HeadFiles, folder: Path) -> None:
    settings = aftertune.HeadSettings(**SEED)
    both = [aftertune.read_heads(aftertune.load(path), files.words, files.vectors, settings) for path in (base, tuned)]
    expected, found = aftertune.compare_heads(*both), heads_of(aftertune.write_report(folder))
    assert found.to_dict() == expected.to_dict()
    for name in ("heads", "pairs", "neurons", "verbs", "neurons_base", "neurons_tuned"):
        assert getattr(found, name).equals(getattr(expected, name)), name
    row = found.figure2[0]
    assert row.distance.mean is not None and row.distance.mean > 0.5
    assert len({one.lists for one in found.figure2}) == 3, "as read, and two controls"
    for role, reading in zip(("base", "tuned"), both, strict=True):
        saved = aftertune.open_heads(folder, role)
        assert saved.pairs.equals(reading.pairs) and saved.controls.equals(reading.controls)
        assert (saved.words, saved.settings, saved.model) == (reading.words, reading.settings, role)


def test_the_report_comes_again_from_the_saved_run_without_torch(
    run: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aftertune.report.render.drawn", draw)  # as another process draws them
    aftertune.write_report(run)
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
    compare(base, tuned, run, files, SEED, progress=lambda stage, *_: seen.append(stage.step))
    assert set(seen) == {"report"} and snapshot(run) == before


def test_verbs_change_table3_only_and_are_remembered(base: Path, tuned: Path, files: HeadFiles, run: Path) -> None:
    before = heads_of(aftertune.write_report(run))
    found = heads_of(aftertune.write_report(run, verbs=["write", "Bababa", "zzz"]))
    data, old = found.to_dict(), before.to_dict()
    assert {name for name in data if data[name] != old[name]} == OF_VERBS
    assert found.heads.drop("verbs_gained", "verbs_lost").equals(before.heads.drop("verbs_gained", "verbs_lost"))
    assert found.pairs.equals(before.pairs)
    assert (found.verbs_present, found.verbs_missing) == (("write", "bababa"), ("zzz",))
    assert heads_of(aftertune.write_report(run)).to_dict() == data
    of_file = heads_of(aftertune.write_report(run, verbs=files.verbs))
    assert of_file.verbs_name == "the words of verbs.txt"
    assert of_file.to_dict() == data | {"verbs_name": of_file.verbs_name}
    assert heads_of(compare(base, tuned, run, files, SEED, files.verbs)).to_dict() == of_file.to_dict()
    assert heads_of(compare(base, tuned, run, files, SEED)).to_dict() == old
    assert before.verbs_name == "instruction verbs" and before.verbs_present == INSTRUCTION_VERBS


def test_verbs_that_can_not_be_used_are_not_remembered(run: Path) -> None:
    before = snapshot(run)
    for verbs in (["zzz"], [], "none.txt", [1], run):
        with pytest.raises(aftertune.WordError):
            aftertune.write_report(run, verbs=verbs)
    assert snapshot(run) == before


@pytest.mark.parametrize("skip", [["outputs", "location", "attribution", "heads", "concepts"], ["head"], "head"])
def test_skipping_all_or_an_unknown_explainer(
    base: Path, tuned: Path, files: HeadFiles, tmp_path: Path, skip: Sequence[str]
) -> None:
    message = refused(tmp_path, base, tuned, tmp_path / "run", files, skip=skip)
    assert "outputs, location, attribution, heads, concepts" in message


def test_an_explainer_can_be_added_to_a_run(
    base: Path, tuned: Path, files: HeadFiles, run: Path, tmp_path: Path
) -> None:
    prompts = save_prompts(tmp_path / "prompts.jsonl", PROMPTS[:2])
    both = {"prompts": prompts, "max_new_tokens": 3, "check": 0, "skip": ["concepts"]}
    before, seen = snapshot(run / "heads"), list[str]()
    told = lambda stage, *_: seen.append(str(stage))  # noqa: E731
    found = aftertune.compare(study(base, tuned, run, files, SEED, **both), progress=told)
    assert snapshot(run / "heads") == before
    assert len(found.attribution.instances) == 2 and heads_of(found).layers == (0, 1, 2)
    assert {"base: loading", "base: attribution", "tuned: responses"} <= set(seen) and "base: heads" not in seen
    assert aftertune.write_report(run).to_dict() == found.to_dict()
    with pytest.raises(aftertune.RunError, match=r"attribution.max_new_tokens was 3, is now 4"):
        aftertune.compare(study(base, tuned, run, files, SEED, **both | {"max_new_tokens": 4}))


def test_other_numbers_of_heads_are_refused_before_anything_is_read(
    base: Path, files: HeadFiles, tmp_path: Path
) -> None:
    other = AutoModelForCausalLM.from_config(LlamaConfig(**SHARED, num_attention_heads=2, num_key_value_heads=2))
    other.save_pretrained(tmp_path / "other")
    make_tokenizer().save_pretrained(tmp_path / "other")
    message = refused(tmp_path, base, tmp_path / "other", tmp_path / "run", files)
    assert "3 layers of 4 heads (2 for keys) of 8 neurons" in message and "2 heads (2 for keys) of 16" in message


def test_equal_checkpoints_are_the_same_weights_and_nothing_is_measured(
    base: Path, files: HeadFiles, tmp_path: Path
) -> None:
    steps: list[str] = []
    found = compare(base, base, tmp_path / "same", files, progress=lambda stage, *_: steps.append(stage.step))
    assert (found.base, found.tuned) == ("base (base)", "base (tuned)")
    assert found.verdict.status == "same weights" and found.changes == {} and found.findings == ()
    assert set(steps) == {"loading", "report"} and not (tmp_path / "same" / "heads").exists()
    page = (tmp_path / "same" / "report.html").read_text("utf-8")
    assert "the same weights. Was an adapter meant?" in page and "Nothing could be tested" not in page
    assert aftertune.write_report(tmp_path / "same").to_dict() == found.to_dict()
    for ask in (aftertune.annotate, name_tuning):
        with pytest.raises(AnnotationError, match=r"No weight differs between .*, so there is no tuning to name"):
            ask(tmp_path / "same", "http://127.0.0.1:9/v1", "m")


def test_equal_heads_have_distance_0_everywhere(base: Path, files: HeadFiles, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "other")
    edit_weights(tmp_path / "other" / "model.safetensors", doubled("mlp.down_proj"))
    found = heads_of(compare(base, tmp_path / "other", tmp_path / "same", files))
    distances = found.heads.select("distance", "neuron_distance").drop_nulls()
    assert distances.height == 4 and set(distances.rows()) == {(0.0, 0.0)}
    assert {row.distance.mean for row in found.figure2} == {0.0}
    assert all(row.instruction.n == row.general.n == 0 for row in found.table3)


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
    plan = SEED
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
    layer = {"seed": 4, "layers": "0"}
    assert "heads.plan.seed was 3, is now 4. Repeat it with its own" in refused(run, base, tuned, run, files, layer)


def test_a_run_goes_on_with_more_layers_and_shows_those_asked_for(
    base: Path, tuned: Path, files: HeadFiles, tmp_path: Path
) -> None:
    run, seen = tmp_path / "run", list[tuple[str, float]]()
    compare(base, tuned, run, files)
    before = {path: path.stat().st_mtime_ns for path in (run / "heads").rglob("*.parquet")}
    plan = {"n_draws": 0, "layers": "0,2"}
    told = lambda stage, done, _: seen.append((stage.step, done))  # noqa: E731
    found = heads_of(compare(base, tuned, run, files, plan, progress=told))
    assert found.layers == (0, 2) and seen
    assert all(path.stat().st_mtime_ns == time for path, time in before.items()), "a layer was read again"
    seen.clear()
    again = heads_of(compare(base, tuned, run, files, progress=lambda stage, done, _: seen.append((stage.step, done))))
    assert again.layers == (0,) and {what for what, _ in seen} == {"report"}
    assert heads_of(aftertune.write_report(run)).layers == aftertune.open_heads(run, "tuned").layers == (0,)


@pytest.mark.parametrize("part", ["neurons/base/layer-001", "pairs/tuned/layer-000", "words/words"])
def test_a_damaged_part_is_named_and_made_anew(
    base: Path, tuned: Path, files: HeadFiles, run: Path, folder: Path, part: str
) -> None:
    damaged, plan = run / "heads" / f"{part}.parquet", SEED
    damaged.write_bytes(b"PAR1 damaged")
    with pytest.raises(aftertune.RunError, match=r"given again, makes that file anew") as caught:
        aftertune.write_report(run)
    assert str(caught.value).startswith(f"{damaged} ")
    compare(base, tuned, run, files, plan)
    assert snapshot(run) == snapshot(folder)


def test_heads_of_a_role_that_a_run_does_not_hold(base: Path, files: HeadFiles, run: Path, tmp_path: Path) -> None:
    from aftertune.study.single import read_into_run

    with pytest.raises(aftertune.RunError, match=r"run holds the heads of base and tuned, not of 'model'\. Ask for"):
        aftertune.open_heads(run)
    settings = aftertune.HeadSettings(words=files.words, vectors=files.vectors, **LAYER)
    read_into_run(base, tmp_path / "one", "heads", settings, device="cpu")
    assert aftertune.open_heads(tmp_path / "one").layers == (0,)
    with pytest.raises(aftertune.RunError, match=r"one holds the heads of model, not of 'tuned'\. Ask for a role"):
        aftertune.open_heads(tmp_path / "one", "tuned")
    with pytest.raises(aftertune.RunError, match="holds one model"):
        aftertune.write_report(tmp_path / "one")
