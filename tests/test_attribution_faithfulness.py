"""How well maps agree with removing tokens: the rank correlation and the share of same top units, against scipy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from aftertune.explainers.attribution.faithfulness import measure_agreement


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_the_mean_over_response_tokens_of_spearmans_correlation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(9, 6)).round(1)  # with ties
    removed = (0.6 * first + rng.normal(size=(9, 6))).round(1)
    found = measure_agreement(first, removed, "deleted")
    each = [spearmanr(first[:, m], removed[:, m]).statistic for m in range(6)]
    assert found.spearman == pytest.approx(np.mean(each), abs=1e-12)
    assert found.top1 == np.mean([first[:, m].argmax() == removed[:, m].argmax() for m in range(6)])
    assert found.removal == "deleted"


def test_columns_without_a_difference_are_left_out() -> None:
    first = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    removed = np.array([[1.0, 5.0], [2.0, 1.0], [3.0, 0.0]])
    assert measure_agreement(first, removed, "zeroed").spearman == pytest.approx(1.0)
    assert measure_agreement(first, removed, "zeroed").top1 == 1.0
    assert measure_agreement(np.zeros((3, 2)), removed, "zeroed") is None
