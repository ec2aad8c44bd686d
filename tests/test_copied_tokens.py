"""Copied tokens of a response, and the score without them, by hand."""

import numpy as np
import pytest

from aftertune.explainers.attribution.score import copied, copied_share, is_repetitive, novel_density, novel_score

PROMPT = ["▁Is", "▁it", "▁more", "▁important", "▁to", "▁rest", "?"]


def marks(prompt: list[str], response: list[str], n: int = 4) -> str:
    return "".join("x" if mark else "." for mark in copied(prompt, response, n))


def test_a_run_of_the_prompt_is_copied_whatever_its_spaces_and_case() -> None:
    assert marks(PROMPT, ["it", "ĠMORE", " important", "▁to", "▁work"]) == "xxxx."
    assert marks(PROMPT, ["▁it", "▁more", "▁important", "▁work"]) == "...."
    assert marks(PROMPT, ["▁it", "▁more", "▁important", "▁work"], n=3) == "xxx."
    assert marks(PROMPT, ["▁so", *PROMPT]) == ".xxxxxxx"


def test_what_the_response_says_again_is_copied_from_the_second_time() -> None:
    assert marks([], list("abcdeabcdxabcd")) == ".....xxxx.xxxx"
    assert marks([], list("aaaaaaa")) == ".xxxxxx"
    assert marks([], list("abababab")) == "..xxxxxx"


def test_two_runs_do_not_join_across_prompt_and_response() -> None:
    assert marks(list("ab"), list("cdabcd")) == "......"


def test_short_and_empty_responses() -> None:
    assert marks(PROMPT, []) == "" and marks([], ["a"]) == "."
    assert copied_share(copied(PROMPT, [])) == 0.0
    assert not is_repetitive(copied(PROMPT, []))


def test_half_copied_is_repetitive() -> None:
    assert copied_share(np.array([True, True, False, False])) == 0.5
    assert is_repetitive(np.array([True, True, False, False]))
    assert not is_repetitive(np.array([True, False, False]))


def test_novel_density_leaves_copied_columns_out() -> None:
    levels = np.array([[10, 10, 10, 0], [0, 9, 7, 8]], dtype=np.uint8)
    before = levels.copy()
    found = novel_density(levels, np.array([True, False, False, False]))
    # Row 0: two tens left, 20 / (2 * 10^4)^(1/4) = 2^(3/4); row 1: 9 and 8, since 7 is not above the threshold.
    assert found == pytest.approx([2**0.75, 17 / (9**4 + 8**4) ** 0.25])
    assert (levels == before).all()


def test_novel_score_is_measured_against_the_plain_peak() -> None:
    levels = np.array([[10] * 16, [10] * 16], dtype=np.uint8)
    instruction = np.array([True, False])
    marked = np.arange(16) > 0
    # One of 16 response tokens is not copied: density 1 against a plain peak of 16^(3/4) = 8.
    assert novel_score(levels, marked, instruction) == pytest.approx(1 / 8 / np.log2(3))
    assert novel_score(levels, np.zeros(16, dtype=bool), instruction) == pytest.approx(1 / np.log2(3))
    assert novel_score(levels, np.ones(16, dtype=bool), instruction) == 0.0
    assert novel_score(levels[:, :0], np.zeros(0, dtype=bool), instruction) == 0.0
