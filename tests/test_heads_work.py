"""Heads as an explainer: what is refused before the work, what it will cost, and what a run gives back."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import planted_heads as planted
from aftertune.errors import AttributionError, RunError, WordError
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.heads import HeadExplainer, HeadSettings
from aftertune.explainers.heads.compare import compare_heads
from aftertune.explainers.heads.cooccurrence import Lexicon
from aftertune.explainers.heads.cost import block_bytes, layer_cost
from aftertune.explainers.heads.measure import HeadWork, read_heads
from aftertune.explainers.heads.result import open_heads
from aftertune.models.machine import Machine
from aftertune.models.size import size_by_config
from aftertune.runs.held import Held
from aftertune.runs.roles import NAMES, Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.words import load_vectors

MIB = 2**20
CPU = Machine("cpu", 1e11, 1e10, 2**33)
PLANTED = {"words": planted.words(), "vectors": planted.vectors(), "n_top": 2, "n_frequent": 60}


def settings(**known: Any) -> HeadSettings:
    return HeadSettings(**PLANTED | known)


def prepared(**known: Any) -> HeadWork:
    work = HeadExplainer().prepare(settings(**known), Inputs())
    assert isinstance(work, HeadWork)
    return work


def model(name: str, *pairs: tuple[int, int, str, str]) -> Any:
    made = planted.blank_model()
    for layer, head, query, key in pairs:
        for neuron in (0, 1):
            planted.plant(made, layer, head, neuron, query, key)
    return planted.checkpoint(made, name)


BASE = ("base", (0, 0, "dog", "cat"), (2, 1, "write", "poem"))
TUNED = ("tuned", (0, 0, "dog", "cat"), (3, 3, "explain", "proof"))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.start(tmp_path / "run", {"base": {}, "tuned": {}}, {})


@pytest.fixture
def measured(run: RunFolder) -> RunFolder:
    work = prepared()
    for role, given in (("base", BASE), ("tuned", TUNED)):
        run.claim(f"{role}.json", {}, {"name": role})
        work.measure(model(*given), role, run, silent)
        work.finish(run, role)
    run.remember(NAMES, {"tuned": "my tune"})
    return run


def change_of(run: RunFolder, **known: Any) -> Any:
    return HeadExplainer().change(Held(run), Pair("base", "tuned"), HeadSettings(**known), {})


def test_the_work_says_what_was_chosen() -> None:
    found = dict(prepared().chosen())
    assert found["words"] == "60 of a list in memory" and "100% of the words" in found["vectors"]
    assert (found["heads"], dict(prepared(layers="0-1").chosen())["heads"]) == ("all layers", "layers 0-1")


@pytest.mark.parametrize("verbs", [["zzz"], [], [1], "none.txt", 7])
def test_verbs_that_can_not_be_asked_about_are_refused_before_the_work(verbs: Any) -> None:
    with pytest.raises(WordError):
        prepared(verbs=verbs)


def test_too_few_words_with_a_vector_are_refused() -> None:
    few = (["dog", "cat"], [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(WordError, match="2 of the 60 words"):
        prepared(vectors=few)
    assert prepared(vectors=few, min_coverage=0.0).lexicon.co_occurrence.has_vector.sum() == 2


def test_layers_and_runs_that_do_not_fit_are_refused(measured: RunFolder) -> None:
    config = planted.blank_model().config
    prepared(layers="0-3").must_fit([config, None], measured)
    with pytest.raises(AttributionError, match="the model has 4, 0 to 3"):
        prepared(layers="4").must_fit([config], measured)
    with pytest.raises(RunError, match="seed was 0, is now 3"):
        prepared(seed=3).must_fit([config], measured)


def test_what_is_left_is_counted_by_layers(run: RunFolder) -> None:
    size, work = size_by_config(planted.blank_model().config), prepared(n_draws=3)
    whole = work.remaining(run, "base", size, CPU)
    step = whole.steps["heads"]
    assert step.least == step.most == layer_cost(work.lexicon, size) * 4 and step.already == 0.0
    assert whole.least_bytes == whole.most_bytes == (128 + 20 + 64) * MIB
    assert block_bytes("cuda") == (128 + 128 + 64) * MIB
    prepared(n_draws=3, layers="1").measure(model(*BASE), "base", run, silent)
    rest = work.remaining(run, "base", size, CPU)
    assert rest.steps["heads"].already == 0.25 and rest.report == whole.report
    done = prepared(n_draws=3, layers="1").remaining(run, "base", size, CPU)
    assert done.steps == {} and done.most_bytes == 0


def test_the_cost_of_a_layer_counts_products_and_pairs_of_every_control() -> None:
    size = SimpleNamespace(n_heads=6, n_key_heads=2, d_head=8, d_model=10)
    lexicon = Lexicon(planted.words(), planted.vectors(), settings(n_top=5, n_draws=2))
    cost, d_vector = layer_cost(lexicon, size), planted.vectors().vectors.shape[1]
    pairs = 6 * 8 * 5**2 * (1 + 2 * 2)
    assert cost.operations == 2 * (8 * 8 * 60) * 10 + 2 * pairs * d_vector
    assert cost.moved == 230 * 8 * 8 * 60 + 1270 * pairs and cost.seconds == 0


def test_a_run_is_measured_when_all_layers_asked_for_lie_in_it(measured: RunFolder) -> None:
    assert prepared().is_measured(measured, "tuned") and not prepared().is_measured(measured, "tuned-2")
    prepared(layers="0,2").finish(measured, "base")
    assert open_heads(measured.address, "base").layers == (0, 2)


def test_the_change_is_that_of_both_readings_under_the_names_of_the_report(measured: RunFolder) -> None:
    found = change_of(measured)
    readings = [read_heads(model(*given), settings=settings()) for given in (BASE, ("my tune", *TUNED[1:]))]
    expected = compare_heads(*readings)
    assert found.to_dict() == expected.to_dict() and found.tuned == "my tune"
    assert found.settings["words"]["n"] == 60


def test_no_heads_are_no_change(run: RunFolder) -> None:
    assert not HeadExplainer().is_in(run)
    run.claim("base.json", {}, {"name": "base"})
    run.claim("tuned.json", {}, {"name": "tuned"})
    assert change_of(run) is None


def test_words_of_a_file_are_asked_about_by_its_name_and_remembered_without_it(
    measured: RunFolder, tmp_path: Path
) -> None:
    file = tmp_path / "my verbs.txt"
    file.write_text("Write, zzz\n")
    asked = HeadSettings(verbs=file)
    found = change_of(measured, verbs=str(file))
    assert (found.verbs_name, found.verbs_present) == ("the words of my verbs.txt", ("write",))
    kept = asked.remembered()
    file.unlink()
    assert change_of(measured, **kept).to_dict() == found.to_dict()
    listed = HeadSettings(verbs=["write"])
    assert listed.remembered() == {"verbs": ["write"], "verbs_name": None}
    assert change_of(measured, verbs=["write"]).verbs_name == "the words asked about"
    assert HeadSettings().remembered() == {"verbs": None, "verbs_name": None}
    assert change_of(measured).verbs_name == "instruction verbs"


def test_words_asked_about_join_the_default_vocabulary_and_belong_to_its_parts(run: RunFolder) -> None:
    known = {"words": None, "vectors": load_vectors((("write", "dog", "zebrafish"), np.eye(3))), "min_coverage": 0}
    plain, asking = prepared(**known), prepared(**known, verbs=["write", "zebrafish", "two words"])
    before, now = plain.lexicon.words, asking.lexicon.words
    assert now.words == (*before.words, "zebrafish") and now.source == f"{before.source}, and 1 asked about"
    assert dict(asking.chosen())["asked about"] == "the words asked about, without two words: add them to --words"
    assert "zebrafish" not in prepared(verbs=["write", "zebrafish"]).lexicon.words.words, "one's own list stays"
    run.claim("heads.json", plain.identity, {})
    prepared(**known, verbs=["write"]).must_fit([], run)
    with pytest.raises(RunError, match=r"now it would be .* asked about, since .* aftertune report .* --verbs FILE"):
        asking.must_fit([], run)
