"""What maps have to predict: replaced words and words left out, against slow loops; and the numbers by scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import aftertune
from aftertune.explainers.attribution.faithfulness import measure_faithfulness, summarise_faithfulness
from aftertune.explainers.attribution.findings import describe_faithfulness
from aftertune.explainers.attribution.importance import another, interventions
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.variants import Variant, Whole
from aftertune.explainers.attribution.result import Faithfulness
from aftertune.models.backbone import Backbone
from test_attribution_written import load
from tiny import FAMILIES

TASK = Task((3, 9, 12, 7, 30, 31), (40, 41, 42), ((0,), (1, 2), (3,), (4,), (5,)))


def log_p(model: torch.nn.Module, prompt: list[int], response: tuple[int, ...]) -> list[float]:
    logits = model(torch.tensor([[*prompt, *response]])).logits[0].log_softmax(-1)
    return [float(logits[len(prompt) - 1 + m, target]) for m, target in enumerate(response)]


@pytest.mark.parametrize("family", FAMILIES)
def test_variants_are_those_of_whole_sequences(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.attribution.importance.variants.fitting_variants", lambda *_: 2)
    checkpoint = load(family)
    backbone, prompt = Backbone(checkpoint), list(TASK.prompt_ids)
    with torch.no_grad():
        whole = Whole.of(backbone, make_batch(backbone, [TASK]), 0)
        other = backbone.embed(torch.tensor([[55]]))[0, 0]
        variants = [
            Variant(left_out=frozenset({4})),
            Variant(left_out=frozenset({1, 5})),
            Variant(replaced={2: other}),
            Variant(left_out=frozenset({0})),
        ]
        (found,) = whole.log_p_after(variants)
        texts = [prompt[:4] + prompt[5:], [3, 12, 7, 30], [3, 9, 55, 7, 30, 31], prompt[1:]]
        expected = [log_p(checkpoint.model, text, TASK.response_ids) for text in texts]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(whole.log_p[0], log_p(checkpoint.model, prompt, TASK.response_ids), atol=1e-6)


def test_numbers_of_faithfulness_by_scipy() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(10, 4))
    halves = truth + 0.5 * rng.normal(size=(2, 10, 4))
    predicted = truth + rng.normal(size=(10, 4))
    left_out, totals = rng.random((32, 10)) < 0.5, rng.normal(size=10)
    falls = left_out @ totals + rng.normal(size=32)
    found = measure_faithfulness(predicted, halves, left_out, falls, totals, (3.0, 1.0))
    assert found is not None
    each = [spearmanr(predicted[:, m], halves.mean(0)[:, m]).statistic for m in range(4)]
    between = np.mean([spearmanr(halves[0, :, m], halves[1, :, m]).statistic for m in range(4)])
    assert found.spearman == pytest.approx(np.mean(each))
    assert found.ceiling == pytest.approx(np.sqrt(2 * between / (1 + between)))
    assert found.lds == pytest.approx(spearmanr(left_out @ totals, falls).statistic)
    assert (found.top_fall, found.random_fall, found.n_units) == (3.0, 1.0, 10)
    opposed = np.stack([truth, -truth + 0.1 * truth.mean(1, keepdims=True)])
    assert measure_faithfulness(predicted, opposed, left_out, falls, totals, (3.0, 1.0)).ceiling is None
    assert measure_faithfulness(np.zeros((10, 4)), halves, left_out, falls, totals, (3.0, 1.0)) is None


def test_the_ceiling_is_what_the_truth_itself_reaches() -> None:
    """The mean correlation of the true values with the mean of noisy draws, over many problems, is the ceiling's."""
    rng, reached, told = np.random.default_rng(1), [], []
    for _ in range(60):
        truth = rng.normal(size=(40, 8))
        halves = truth + rng.normal(size=(2, 40, 8))
        found = measure_faithfulness(truth, halves, np.ones((2, 40), bool), np.zeros(2), np.zeros(40), (0.0, 0.0))
        assert found is not None and found.ceiling is not None and found.lds is None
        reached.append(found.spearman)
        told.append(found.ceiling)
    assert np.mean(told) == pytest.approx(np.mean(reached), abs=0.02)


def test_removal_ranks_words_as_replacing_them_does() -> None:
    """Removal on a random model ranks words much as replacing them does, the same way each time."""
    checkpoint = load("llama")
    prompt = "Rewrite the text. the cat sat on the mat and answer the question"
    found = aftertune.attribute(checkpoint, prompt, " on the mat.", check=True)
    assert found.agreement.removal == "deleted" and found.faithfulness.n_units == interventions.N_REPLACED
    assert found.faithfulness.spearman > 0.2 and found.faithfulness.ceiling > found.faithfulness.spearman
    again = aftertune.attribute(checkpoint, prompt, " on the mat.", check=True)
    assert again.faithfulness == found.faithfulness
    assert aftertune.attribute(checkpoint, "the", " on the mat.", check=True).faithfulness is None


def test_words_take_the_place_of_words_and_parts_of_parts() -> None:
    tokenizer, rng = load("llama").tokenizer, np.random.default_rng(0)
    begins, goes_on, beginning = another._pools(tokenizer)
    assert set(begins) == beginning and not beginning & set(goes_on)
    for _ in range(20):
        assert another.another_token(tokenizer, begins[0], rng) in beginning - {begins[0]}
        assert another.another_token(tokenizer, goes_on[0], rng) in set(goes_on) - {goes_on[0]}


def test_what_is_told_of_checks() -> None:
    one = Faithfulness(0.8, 0.9, 12.0, 4.0, 0.7, 12)
    found = summarise_faithfulness({"old": [one, Faithfulness(0.6, 0.8, 8.0, 2.0, None, 12)], "new": []})
    assert found is not None and (found.n_instances, found.lds) == (2, 0.7)
    assert (found.spearman_mean, found.ceiling_mean) == (pytest.approx(0.7), pytest.approx(0.85))
    assert (found.top_fall, found.random_fall, found.per_model) == (10.0, 3.0, {"old": pytest.approx(0.7)})
    assert found.is_faithful and describe_faithfulness(found).headline.endswith(
        "rank correlation 0.70 of a possible 0.85"
    )
    poor = summarise_faithfulness({"old": [Faithfulness(0.4, 0.85, 1.0, 1.0, 0.1, 12)]})
    assert poor is not None and not poor.is_faithful and "hardly predict" in describe_faithfulness(poor).headline
    assert summarise_faithfulness({"old": []}) is None
