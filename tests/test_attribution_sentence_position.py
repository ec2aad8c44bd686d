"""Figure 6: shares of the density on the quarters of sentences, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.sentence_position import figure6, quarters, split
from comparison_samples import make_map


def text_map(text: str, counts: list[int], is_user: list[bool] | None = None, id: str = "a") -> SalientMap:
    """A token per word; token n matters for counts[n] response tokens, so its density is counts[n]^(3/4)."""
    levels = np.array([[10] * k + [0] * (81 - k) for k in counts], dtype=np.uint8)
    ends = np.cumsum([len(word) + 1 for word in text.split(" ")]) - 1
    offsets = np.array([(end - len(word), end) for word, end in zip(text.split(" "), ends, strict=True)])
    marks = np.array(is_user or [True] * len(counts))
    return replace(
        make_map(id, "m", 1),
        text=text,
        prompt_tokens=tuple(text.split(" ")),
        offsets=offsets,
        levels=levels,
        is_user=marks,
    )


def test_four_tokens_fall_on_four_quarters() -> None:
    # Densities 1, 8, 27, 0 of a sum of 36.
    assert quarters(text_map("Do it right now.", [1, 16, 81, 0])) == pytest.approx(np.array([1, 8, 27, 0]) / 36)


def test_a_token_on_a_cut_is_divided() -> None:
    assert split(np.array([1.0, 0.0])) == pytest.approx([0.5, 0.5, 0, 0])
    assert split(np.array([4.0])) == pytest.approx([1, 1, 1, 1])
    # Runs of 5 / 4 tokens: 1 + 1/4 of the second, 3/4 + 1/2, 1/2 + 3/4, 1/4 + 1.
    assert split(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx([1.5, 3.0, 4.5, 6.0])
    assert split(np.arange(8.0)) == pytest.approx([1, 5, 9, 13])


@pytest.mark.parametrize("n", range(1, 12))
def test_even_densities_give_even_quarters(n: int) -> None:
    assert split(np.ones(n)) == pytest.approx(np.full(4, n / 4))


def test_sentences_count_alike_and_silent_ones_not_at_all() -> None:
    text = "Do it right now. Say what you see. No one is here."
    found = quarters(text_map(text, [81, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]))
    assert found == pytest.approx([0.5, 0, 0, 0.5])


def test_template_tokens_are_in_no_sentence() -> None:
    found = quarters(text_map("User: do it right now.", [81, 0, 0, 0, 1], [False, True, True, True, True]))
    assert found == pytest.approx([0, 0, 0, 1])


def test_rows_average_prompts_that_have_a_density() -> None:
    maps = [
        text_map("Do it right now.", [1, 0, 0, 0], id="a"),
        text_map("Do it right now.", [0, 0, 81, 81], id="b"),
        text_map("Do it right now.", [0, 0, 0, 0], id="c"),
    ]
    (row,) = figure6(maps)
    assert (row.dataset, row.model, row.n) == ("d", "m", 2)
    assert row.quarters == pytest.approx((0.5, 0, 0.25, 0.25))
    assert figure6(maps[2:]) == ()
