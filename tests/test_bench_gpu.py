"""``python -m bench.gpu`` whole, on the CPU with a tiny pair: it resumes, survives a kill, its numbers are right."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bench.gpu import __main__ as program
from bench.gpu import whole_study
from bench.gpu.__main__ import main
from bench.gpu.attribution import task
from bench.gpu.kept import Kept
from bench.gpu.plan import PLAN, Measurement
from bench.gpu.shapes import SHAPES, Pair

from aftertune.explainers.attribution.importance.routes import _compute

TINY = SHAPES["tiny"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gpu")
    main(["--shape", "tiny", "--out", str(place)])
    return place


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text("utf-8"))


def test_all_of_the_plan_is_measured(folder: Path) -> None:
    found = results(folder)
    assert {one.name for one in PLAN} <= found.keys()
    for one in PLAN:
        assert (folder / f"{one.name}.json").exists()
    studies = found["studies, computed"]
    parts = {"responses", "attribution", "outputs", "location", "heads", "concepts", "digests", "all"}
    assert studies["12"].keys() == studies["632"].keys() == parts
    assert studies["632"]["attribution"] > studies["12"]["attribution"] > 0


def test_what_is_measured_is_not_measured_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "removal-TF32.json").unlink()
    before = {place: place.read_bytes() for place in folder.glob("*.json") if place.stem != "results"}
    main(["--shape", "tiny", "--out", str(folder)])
    assert "removal-TF32: " in capsys.readouterr().out
    assert all(place.read_bytes() == text for place, text in before.items())
    assert (folder / "removal-TF32.json").exists()


def test_an_interrupted_measurement_alone_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> dict:
        raise KeyboardInterrupt

    plan = (PLAN[0], Measurement("second", interrupted, 1.0))
    monkeypatch.setattr(program, "PLAN", plan)
    with pytest.raises(KeyboardInterrupt):
        main(["--shape", "tiny", "--out", str(tmp_path)])
    assert results(tmp_path)["rates"]["float32"] > 0 and not (tmp_path / "second.json").exists()


def test_what_fails_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> dict:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(program, "PLAN", (Measurement("first", failing, 1.0), PLAN[0]))
    with pytest.raises(SystemExit) as ended:
        main(["--shape", "tiny", "--out", str(tmp_path), "--profile"])
    told = capsys.readouterr()
    assert ended.value.code == 1 and "tried again by another call: first." in told.out
    assert "no such kernel" in told.err and not (tmp_path / "first.json").exists()
    assert results(tmp_path)["rates"]["float32"] > 0
    assert "matrix_rate" in (tmp_path / "rates.profile").read_text("utf-8")


def test_what_would_not_end_in_time_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--shape", "tiny", "--out", str(tmp_path), "--minutes", "0"])
    assert "Left for another call" in capsys.readouterr().out and not (tmp_path / "rates.json").exists()


def test_another_shape_does_not_go_on_in_the_folder(folder: Path) -> None:
    with pytest.raises(SystemExit, match="Give another --out"):
        Kept.at(folder, "llama-2-7b", "cpu")


def test_without_a_gpu_the_large_shape_is_refused(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="--shape tiny"):
            main(["--out", str(tmp_path)])


@pytest.mark.parametrize("way", ["removal", "forward"])
def test_its_importance_is_that_of_the_library(folder: Path, way: str) -> None:
    pair = Pair(TINY, "cpu")
    (own,) = _compute(pair.base, [task(TINY)], way, "deleted")  # type: ignore[arg-type]
    kept = Kept(folder).array(f"{way}-importance")
    assert kept is not None
    np.testing.assert_allclose(kept, own.importance, rtol=0, atol=1e-6 * np.abs(own.importance).max())


def test_errors_are_those_of_rounding(folder: Path) -> None:
    found = results(folder)
    assert found["removal-float32"]["error"] == 0 and found["removal-TF32"]["error"] < 1e-4  # on the CPU the same
    assert 1e-4 < found["forward-bfloat16-tangents"]["error"] < 0.1
    assert 1e-4 < found["removal-bfloat16"]["error"] < 1.0
    assert 0 < found["predictions-bfloat16"]["nats"] < 0.5


def test_the_tuned_model_differs_a_little_in_every_projection() -> None:
    pair = Pair(TINY, "cpu")
    base, tuned = (dict(one.model.named_parameters()) for one in (pair.base, pair.tuned))
    for name, weight in base.items():
        change = float((tuned[name] - weight).norm() / weight.norm())
        assert change == pytest.approx(0.01 if ".layers." in name and weight.ndim == 2 else 0.0, rel=1e-3)


def test_a_study_is_computed_from_its_units(tmp_path: Path) -> None:
    kept = Kept.at(tmp_path, "tiny", "cpu")
    assert whole_study.study(kept, TINY, 12) == {"all": 0}
    kept.keep("responses-bfloat16", {"64": {"seconds_a_step": 0.5}})
    kept.keep("removal-float32", {"seconds": 2.0})
    kept.keep("heads", {"seconds": 10.0})
    kept.keep("heads-of-pair-bfloat16", {"seconds": 7.0})
    found = whole_study.study(kept, TINY, 40)
    assert found["responses"] == 2 * 1 * TINY.n_response * 0.5  # both models, one batch of 64
    checked = 2 * 4 * whole_study.check_share(TINY)
    assert found["attribution"] == pytest.approx((3 * 40 + checked) * 2.0)
    assert found["heads"] == 27.0 and "concepts" not in found
