"""Krippendorff's alpha: computed by hand, and the published example."""

import numpy as np
import pytest

from aftertune.statistics.agreement import alpha_interval, count_units, krippendorff_alpha

NONE = np.nan
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), three raters, 15 units.
PUBLISHED = np.array(
    [
        [NONE, NONE, NONE, NONE, NONE, 3, 4, 1, 2, 1, 1, 3, 3, NONE, 3],
        [1, NONE, 2, 1, 3, 3, 4, 3, NONE, NONE, NONE, NONE, NONE, NONE, NONE],
        [NONE, NONE, 2, 1, 3, 4, 4, NONE, 2, 1, 1, 3, 3, NONE, 4],
    ]
).T


def test_nominal_by_hand() -> None:
    # o = [[2, 1], [1, 4]]; disagreement 2, expected 2 * 3 * 5 / 7
    judged = np.array([[1, 1], [1, 2], [2, 2], [2, 2.0]])
    assert krippendorff_alpha([judged], ordinal=False) == pytest.approx(1 - 2 / (30 / 7))


def test_ordinal_by_hand() -> None:
    # n = 3, 2, 3; d12 = d23 = 2.5 squared, d13 = 5 squared; disagreement 25, expected 2 (37.5 + 37.5 + 225) / 7
    judged = np.array([[1, 1], [1, 2], [2, 3], [3, 3.0]])
    assert krippendorff_alpha([judged], ordinal=True) == pytest.approx(1 - 25 / (600 / 7))


def test_the_published_example_with_gaps() -> None:
    assert krippendorff_alpha([PUBLISHED], ordinal=False) == pytest.approx(0.691, abs=5e-4)
    assert count_units([PUBLISHED]) == (12, 1)


def test_groups_are_summed_and_units_of_one_rater_left_out() -> None:
    parts = [PUBLISHED[:4], PUBLISHED[4:9], PUBLISHED[9:]]
    assert krippendorff_alpha(parts, ordinal=True) == pytest.approx(krippendorff_alpha([PUBLISHED], ordinal=True))
    assert count_units(parts) == (12, 3)


@pytest.mark.parametrize("groups", [[], [PUBLISHED[:1]], [np.array([[2, 2], [2, 2.0]])]])
def test_nothing_to_compute(groups: list[np.ndarray]) -> None:
    assert krippendorff_alpha(groups, ordinal=True) is None and alpha_interval(groups, ordinal=True) is None


def test_the_interval_resamples_groups() -> None:
    group = np.array([[1, 1], [1, 2], [2, 2], [2, 2.0]])
    alike = alpha_interval([group] * 5, ordinal=False)
    alpha = krippendorff_alpha([group] * 5, ordinal=False)
    assert alike == pytest.approx((alpha, alpha))
    low, high = alpha_interval([unit[None] for unit in PUBLISHED], ordinal=False) or (0, 0)
    assert low < 0.691 < high <= 1 and (low, high) == alpha_interval([u[None] for u in PUBLISHED], ordinal=False)
    assert alpha_interval([group, group[:0]], ordinal=False) is None
