"""Is it the instruction that is used more densely, or any words of the prompt?

1. Two scores of each map leave copied response tokens out: the instruction's (`score.novel_score`), and the mean of
   the same score over all choices of as many of the tokens that the user wrote. The second is the control, and the
   first less the second the instruction's excess. Where the instruction is all that the user wrote it is 0.
2. Of table 2: score, control and excess within prompts, tuned minus base, each with a permutation test of signs; the
   difference of the score where the copied share is held constant, the intercept of a regression on its difference.
3. Of table 1: how well each of the three tells followed from unfollowed responses, the excess with Welch's two-sided
   test and a permutation within data sets; and the coefficient of "followed" in a regression of the score that holds
   length, copied share and having been cut off constant.

Regressions are least squares with standard errors that allow for unequal variances (HC3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.explainers.attribution.density_comparison import (
    FOLLOWED,
    LEAST_RESPONSE,
    UNFOLLOWED,
    Paired,
    datasets,
    paired,
)
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.score import (
    DENSITY_THRESHOLD,
    copied,
    copied_share,
    cut,
    density,
    novel_density,
    novel_score,
)
from aftertune.statistics.effects import auroc, auroc_interval
from aftertune.statistics.questions import largest
from aftertune.statistics.spread import Interval, Scores
from aftertune.statistics.tests import stratified_permutation_p_value, welch_p_value

Maps = Sequence[SalientMap]
LEAST_FOR_REGRESSION = 10  # responses for each column of it


@dataclass(frozen=True)
class Controlled:
    """Scores of one map without copied tokens: the instruction's, and that of as many of the user's tokens."""

    score: float
    control: float
    copied_share: float
    n_response: int

    @property
    def excess(self) -> float:
        """What the instruction has beyond any words."""
        return self.score - self.control


@dataclass(frozen=True)
class Table2Control:
    """Tuned minus base within prompts, without copied tokens: ``score``, ``control`` and ``excess`` of both.

    ``adjusted`` is the difference of the score where the copied share is held constant, None where too few prompts were
    answered by both, or the share never differs. ``n_instructions`` counts the prompts' different instructions.
    """

    dataset: str
    score: Paired
    control: Paired
    excess: Paired
    adjusted: float | None
    adjusted_interval: Interval | None
    pooled: bool = False
    n_instructions: int = 0


@dataclass(frozen=True)
class Table1Control:
    """Followed against unfollowed responses: AUROC of score, control and excess without copied tokens.

    ``p_value`` is the larger of Welch's two-sided and the permutation test's of the excess. ``adjusted`` is how much
    higher the score of a followed response is, length, copied share and having been cut off held constant.
    """

    dataset: str
    model: str
    n_followed: int
    n_unfollowed: int
    auroc_score: float | None
    auroc_score_interval: Interval | None
    auroc_control: float | None
    auroc_excess: float | None
    auroc_excess_interval: Interval | None
    p_value: float | None
    adjusted: float | None
    adjusted_interval: Interval | None
    pooled: bool = False


def controlled(salient: SalientMap) -> Controlled:
    """The scores of one map."""
    marked = copied(salient.prompt_tokens, salient.response_tokens)
    peak = density(cut(salient.levels, DENSITY_THRESHOLD)).max(initial=0.0)
    pool = salient.is_user if salient.is_user.any() else np.ones(salient.n_prompt, dtype=np.bool_)
    n = int(salient.is_instruction.sum())
    mean = float(novel_density(salient.levels, marked)[pool].mean()) / peak if peak and pool.any() else 0.0
    return Controlled(
        score=novel_score(salient.levels, marked, salient.is_instruction),
        control=n * mean / float(np.log2(2 + n)),
        copied_share=copied_share(marked),
        n_response=salient.n_response,
    )


def table2_controls(maps: Maps, base: str, tuned: str, seed: int = 0) -> tuple[Table2Control, ...]:
    """The controls of table 2, a row for each of its rows."""
    of_base, of_tuned = ({m.dataset for m in maps if m.model == name} for name in (base, tuned))
    shared = [m for m in maps if m.dataset in of_base & of_tuned and m.model in (base, tuned)]
    known = {(m.dataset, m.id, m.model): controlled(m) for m in shared}
    return tuple(
        _table2_row(name, group, (base, tuned), known, pooled, seed) for name, group, pooled in datasets(shared)
    )


def _table2_row(
    dataset: str,
    maps: Maps,
    names: tuple[str, str],
    known: Mapping[tuple[str, str, str], Controlled],
    pooled: bool,
    seed: int,
) -> Table2Control:
    keys = dict.fromkeys((m.dataset, m.id) for m in maps)
    pairs = [(known.get((*key, names[0])), known.get((*key, names[1]))) for key in keys]
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    score, control, excess = (_paired(both, name, seed) for name in ("score", "control", "excess"))
    answered = [(one, other) for one, other in both if one.n_response and other.n_response]
    differences = np.array([other.score - one.score for one, other in answered])
    shares = np.array([other.copied_share - one.copied_share for one, other in answered])
    adjusted, interval = _coefficient(differences, {"copied": shares}, of="const")
    n_instructions = len({m.instruction for m in maps})
    return Table2Control(dataset, score, control, excess, adjusted, interval, pooled, n_instructions)


def _paired(both: Sequence[tuple[Controlled, Controlled]], name: str, seed: int) -> Paired:
    """One of the scores of pairs (base, tuned), tuned minus base."""
    base, tuned = (np.array([getattr(pair[side], name) for pair in both], dtype=np.float64) for side in (0, 1))
    return paired(tuned, base, seed)


def table1_controls(
    maps: Maps, cut_off: Mapping[tuple[str, str, str], bool | None] | None = None, seed: int = 0
) -> tuple[Table1Control, ...]:
    """The controls of table 1, a row for each of its rows; ``cut_off`` by data set, id and model where it is known."""
    rated = [m for m in maps if m.helpfulness in FOLLOWED + UNFOLLOWED and m.n_response >= LEAST_RESPONSE]
    rows: list[Table1Control] = []
    for model in dict.fromkeys(m.model for m in rated):
        own = [m for m in rated if m.model == model]
        known = {(m.dataset, m.id): controlled(m) for m in own}
        rows += [
            _table1_row(name, model, group, known, cut_off or {}, pooled, seed) for name, group, pooled in datasets(own)
        ]
    return tuple(rows)


def _table1_row(
    dataset: str,
    model: str,
    maps: Maps,
    known: Mapping[tuple[str, str], Controlled],
    cut_off: Mapping[tuple[str, str, str], bool | None],
    pooled: bool,
    seed: int,
) -> Table1Control:
    groups = [[m for m in maps if m.helpfulness in ratings] for ratings in (FOLLOWED, UNFOLLOWED)]
    score, control, excess = (
        [np.array([getattr(known[m.dataset, m.id], name) for m in group]) for group in groups]
        for name in ("score", "control", "excess")
    )
    strata = [m.dataset for m in groups[0]], [m.dataset for m in groups[1]]
    by_welch = welch_p_value(excess[0], excess[1], two_sided=True)
    by_permutation = stratified_permutation_p_value(excess[0], excess[1], strata, seed)
    columns = {
        "followed": [float(m.helpfulness in FOLLOWED) for m in maps],
        "length": [np.log(m.n_response) for m in maps],
        "copied": [known[m.dataset, m.id].copied_share for m in maps],
        "cut_off": [float(cut_off.get((m.dataset, m.id, m.model)) or 0.0) for m in maps],
    }
    scores = np.array([known[m.dataset, m.id].score for m in maps])
    adjusted, interval = _coefficient(scores, {name: np.array(one) for name, one in columns.items()}, of="followed")
    return Table1Control(
        dataset=dataset,
        model=model,
        n_followed=len(groups[0]),
        n_unfollowed=len(groups[1]),
        auroc_score=auroc(score[0], score[1]),
        auroc_score_interval=auroc_interval(score[0], score[1], seed),
        auroc_control=auroc(control[0], control[1]),
        auroc_excess=auroc(excess[0], excess[1]),
        auroc_excess_interval=auroc_interval(excess[0], excess[1], seed),
        p_value=largest(by_welch, by_permutation),
        adjusted=adjusted,
        adjusted_interval=interval,
        pooled=pooled,
    )


def _coefficient(
    values: Scores, columns: Mapping[str, npt.NDArray[np.float64]], of: str
) -> tuple[float | None, Interval | None]:
    """A coefficient of a regression with an intercept ("const"), and its 95 % interval; None where it is not defined.

    Columns that never vary are left out; that of the question must vary.
    """
    from statsmodels.regression.linear_model import OLS  # takes seconds to import: only where it is needed

    varied = {name: one for name, one in columns.items() if len(one) and np.ptp(one) > 0}
    enough = len(values) >= LEAST_FOR_REGRESSION * (1 + len(varied))
    if not enough or not varied or np.ptp(values) == 0 or of not in {"const", *varied}:
        return None, None
    given = np.column_stack([np.ones(len(values)), *varied.values()])
    if np.linalg.matrix_rank(given) < given.shape[1]:
        return None, None
    fitted: Any = OLS(values, given).fit(cov_type="HC3")
    place = ["const", *varied].index(of)
    low, high = fitted.conf_int()[place]
    return float(fitted.params[place]), (float(low), float(high))
