"""A real tuning, small enough for every run of the tests: the demo's adapter is named by what it does."""

from pathlib import Path

import pytest

import aftertune
from aftertune.demo import ADAPTER, find_demo_base
from aftertune.errors import CheckpointError
from aftertune.explainers.outputs import texts
from aftertune.statistics.verdict import Status

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.mark.slow
def test_the_demo_pair_is_named_by_how_its_answers_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    try:
        base = find_demo_base()
    except CheckpointError as error:
        pytest.skip(str(error))
    lines = texts.own_lines
    monkeypatch.setattr(texts, "own_lines", lambda name: lines(name)[:9])  # of our prompts and texts so many, for speed
    quick = {
        "limit": 1,
        "outputs": {"noise_draws": 0, "sampled_answers": 0, "n_samples": 0, "answer_tokens": 8},
        "device": "cpu",
    }
    found = aftertune.compare(aftertune.Study(base, ADAPTER, run=tmp_path / "run", only="outputs", **quick))
    assert found.verdict.status is Status.NAMED
    assert "answers of the tuned model begin with “Arr, matey!”" in found.verdict.texts[0]
    assert "matey" in next(one for one in found.findings if one.kind == "outputs.response_words").evidence["more"]
