"""The difference of two models on one response: by slow loops, on one scale, in a run, and what it depends on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import aftertune
from aftertune.errors import AttributionError
from aftertune.explainers.attribution.difference import AttributionDifference, difference_row, mean_shares
from aftertune.explainers.attribution.score import sparsify
from tiny import make_model, make_tokenizer

PROMPT, RESPONSE = "Rewrite the text. the cat sat", " on the mat."


def load(seed: int = 0) -> aftertune.Checkpoint:
    return aftertune.load(make_model("llama", torch.float64, seed=seed), tokenizer=make_tokenizer(chat=False))


@pytest.fixture(scope="module")
def found() -> AttributionDifference:
    return aftertune.attribute_difference(load(), load(1), PROMPT, RESPONSE, removal="deleted")


def log_p(checkpoint: aftertune.Checkpoint, prompt: list[int], response: list[int]) -> np.ndarray:
    logits = checkpoint.model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    return np.array([float(logits[len(prompt) - 1 + m, token]) for m, token in enumerate(response)])


def test_it_is_the_fall_of_the_log_ratio_without_each_token(found: AttributionDifference) -> None:
    base, tuned = load(), load(1)
    prompt, response = (base.tokenizer(text, add_special_tokens=False).input_ids for text in (PROMPT, RESPONSE))
    prompt = [*base.tokenizer(PROMPT).input_ids]
    with torch.no_grad():
        ratio = log_p(tuned, prompt, response) - log_p(base, prompt, response)
        without = [
            log_p(tuned, prompt[:n] + prompt[n + 1 :], response) - log_p(base, prompt[:n] + prompt[n + 1 :], response)
            for n in range(len(prompt))
        ]
    np.testing.assert_allclose(found.log_ratio, ratio, atol=1e-5)
    np.testing.assert_allclose(found.difference, ratio - np.array(without), atol=1e-4)
    assert np.array_equal(found.levels(), sparsify(ratio - np.array(without)))
    frame = found.to_polars()
    assert frame.height == found.difference.size and frame["difference"].to_numpy() == pytest.approx(
        (frame["fall_tuned"] - frame["fall_base"]).to_numpy()
    )


def test_both_models_are_on_one_scale(found: AttributionDifference) -> None:
    falls = [np.maximum(one.fall(), 0) for one in found.models]
    for m in range(falls[0].shape[1]):
        peak = max(fall[:, m].max() for fall in falls)
        for fall, levels in zip(falls, found.levels_of_models(), strict=True):
            assert levels[:, m].tolist() == [int(np.ceil(10 * value / peak)) for value in fall[:, m]]


def test_shares_are_those_of_positive_differences(found: AttributionDifference) -> None:
    n = len(found.tuned.prompt_tokens)
    marked = [
        replace(one, is_user=np.arange(n) >= 2, is_instruction=(np.arange(n) >= 2) & (np.arange(n) < 5))
        for one in found.models
    ]
    row = difference_row("d", "a", AttributionDifference(*marked))
    positive = np.maximum(found.difference, 0).sum(1)
    assert row.template == pytest.approx(positive[:2].sum() / positive.sum())
    assert row.instruction == pytest.approx(positive[2:5].sum() / positive.sum())
    assert row.instruction + row.other + row.template == pytest.approx(1)
    assert row.words[0] == found.tuned.prompt_tokens[2 + int(positive[2:].argmax())]
    assert row.log_ratio == pytest.approx(found.log_ratio.mean()) and row.score > 0
    same = AttributionDifference(found.tuned, found.tuned)
    nothing = difference_row("d", "b", same)
    assert (nothing.instruction, nothing.words, nothing.log_ratio) == (None, (), 0.0)
    assert mean_shares([row, nothing]) == (row.instruction, row.other, row.template) and mean_shares([nothing]) is None


def test_the_tuned_models_own_response_is_read_where_none_is_given() -> None:
    base, tuned = load(), load(1)
    found = aftertune.attribute_difference(base, tuned, PROMPT, max_new_tokens=4)
    alone = aftertune.attribute(tuned, PROMPT, max_new_tokens=4)
    assert found.tuned.response == found.base.response == alone.response
    np.testing.assert_allclose(found.tuned.importance, alone.importance)


def test_maps_of_different_responses_can_not_be_subtracted(found: AttributionDifference) -> None:
    other = aftertune.attribute(load(), PROMPT, " on the cat.")
    with pytest.raises(AttributionError, match="same response"):
        AttributionDifference(other, found.tuned)
    with pytest.raises(AttributionError, match="unit, method and route"):
        AttributionDifference(aftertune.attribute(load(), PROMPT, RESPONSE, removal="zeroed"), found.tuned)
