"""A real model with a known tuning is named by what it says."""

from pathlib import Path

import pytest

import aftertune
from aftertune.demo import ADAPTER, find_demo_base
from aftertune.errors import CheckpointError

pytestmark = pytest.mark.slow
QUICK = {
    "only": ["outputs"],
    "noise_draws": 0,
    "limit": 1,
    "device": "cpu",
    "outputs": {"n_samples": 1, "answer_tokens": 16},
}


@pytest.fixture(scope="module")
def base() -> Path:
    try:
        return find_demo_base()
    except CheckpointError as error:
        pytest.skip(str(error))


def test_the_demo_pair_is_named(base: Path, tmp_path: Path) -> None:
    study = aftertune.Study(base, aftertune.Subject(base, ADAPTER, name="tuned"), run=tmp_path / "run", **QUICK)
    found = aftertune.compare(study)
    assert found.verdict.status == "named", found.verdict.texts
    assert "Arr, matey!" in " ".join(found.verdict.texts)
    assert found.to_dict()["verdict"]["status"] == "named"
