"""Eq. 2, the density and the score by hand."""

import numpy as np
import pytest

from aftertune.explainers.attribution.score import cut, density, instruction_score, sparsify


def test_levels_are_tenths_of_the_column_maximum_rounded_up() -> None:
    importance = np.array([[0.2, -1.0, 0.0], [0.1, 3.0, 0.0], [0.011, 1.0, -2.0], [-0.5, 2.1, 0.0]])
    assert sparsify(importance).tolist() == [[10, 0, 0], [5, 10, 0], [1, 4, 0], [0, 7, 0]]


def test_levels_not_above_the_threshold_become_zero() -> None:
    importance = np.array([[1.0], [0.7], [0.71], [0.8]])
    assert sparsify(importance, threshold=7).tolist() == [[10], [0], [8], [8]]
    assert cut(np.array([[7, 8]], dtype=np.uint8), 7).tolist() == [[0, 8]]


def test_levels_do_not_depend_on_the_scale_of_a_column() -> None:
    importance = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    assert np.array_equal(sparsify(importance), sparsify(importance * np.float32(2.0**-40)))


def test_a_response_without_tokens_has_no_levels() -> None:
    assert sparsify(np.zeros((3, 0), np.float32)).shape == (3, 0)
    assert density(np.zeros((3, 0), np.uint8)).tolist() == [0, 0, 0]


def test_density_is_the_ratio_of_the_first_and_fourth_norm() -> None:
    levels = np.array([[10, 10, 10, 10], [10, 0, 0, 0], [0, 0, 0, 0], [8, 10, 0, 0]], dtype=np.uint8)
    expected = [40 / (4 * 10**4) ** 0.25, 1.0, 0.0, 18 / (8**4 + 10**4) ** 0.25]
    assert density(levels) == pytest.approx(expected)


def test_score_is_the_instruction_share_with_the_length_correction() -> None:
    densities, marked = np.array([2.0, 4.0, 1.0, 0.0]), np.array([True, False, True, True])
    assert instruction_score(densities, marked) == pytest.approx((2 + 1 + 0) / 4 / np.log2(2 + 3))
    assert instruction_score(np.zeros(4), marked) == 0
    assert instruction_score(densities, np.zeros(4, bool)) == 0
