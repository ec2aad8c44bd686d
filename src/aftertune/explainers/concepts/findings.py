"""What does the comparison of feed-forward layers show, in sentences?

1. How far the spaces of the components turned, and how much of the tuned components' variance they keep. Described,
   not tested: no chance decides how far a space turns. Beside it stands what spaces without any relation would keep.
2. How far components turned, and how far those that are well separated: the others may mix whatever tuning did.
3. The words that a component shares with its best match, and the components that are no best match.
4. Of how many components the words are nearer than chance would give (`chance_findings`).
5. Depth: claimed only where permuted layers show it for components and the angles of their spaces go the same way,
   corrected for all that the report asks (`questions`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from aftertune.explainers.concepts.chance_findings import describe_chance
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.matches import LEAST_GAP
from aftertune.explainers.concepts.rows import RotationRow, RotationTrend
from aftertune.statistics.finding import Finding
from aftertune.statistics.intervals import Interval
from aftertune.statistics.questions import NEVER, Question, answer, corrected_by, described, is_shown

SAME_DEGREES, SAME_SHARE = 1e-4, 1e-6
DESCRIBED = "This is a description; no test was made."


def describe_concepts(change: ConceptChange) -> list[Finding]:
    """The findings of a comparison of feed-forward layers, how far spaces turned first; corrected for them alone."""
    return answer(concept_questions(change))


def concept_questions(change: ConceptChange) -> list[Question]:
    """What a report asks of feed-forward layers."""
    if is_unchanged(change):
        return [described([_unchanged(change), *describe_chance(change)])]
    found = [_spaces(change), _components(change), _words(change), *describe_chance(change)]
    trend = change.trend
    return [described(found), Question([_trend_p_value(trend)], lambda p: list(_depth(trend, p[0])))]


def is_unchanged(change: ConceptChange) -> bool:
    """Whether components, their shares of variance, their order and their words are the same in both models.

    Angles below 0.0001 degrees and differences of shares below a millionth are none.
    """
    both = pl.concat([change.components, change.tuned_components])
    share = (pl.col("variance_share_base") - pl.col("variance_share_tuned")).abs()
    same = [
        pl.col("angle") < SAME_DEGREES,
        share < SAME_SHARE,
        pl.col("rank") == pl.col("match_rank"),
        pl.col("words_gained").list.len() + pl.col("words_lost").list.len() == 0,
    ]
    return bool(both.select(pl.all_horizontal(same).all()).item())


def _unchanged(change: ConceptChange) -> Finding:
    n_components = change.components.height
    sentence = (
        f"The {n_components:,} components of {change.n_networks:,} feed-forward networks that were read are the same "
        f"in {change.base} and {change.tuned}, in direction, variance and words."
    )
    evidence = {"n_networks": change.n_networks, "n_components": n_components}
    return Finding("Concepts: nothing changed", sentence, None, evidence)


def _spaces(change: ConceptChange) -> Finding:
    """How far the spaces turned, and what they keep."""
    row = _pooled(change)
    sentence = (
        f"The first {change.n_components:,} components of a feed-forward network span a space. Those of {change.base} "
        f"and {change.tuned} lie {_degrees(row.subspace_angle.mean)} apart, averaged over principal angles and "
        f"{change.n_networks:,} networks; the largest angle of a network is {_degrees(row.largest_angle.mean)} on "
        f"average. {_by_layers(change, lambda row: _degrees(row.subspace_angle.mean))}Of the variance of "
        f"{change.tuned}'s components {_percent(row.variance_kept.mean)} lies in the space of {change.base}'s. "
        f"{_yardstick(change)} {DESCRIBED}"
    )
    headline = (
        f"Concepts: spaces turned by {_degrees(row.subspace_angle.mean)} on average and keep "
        f"{_percent(row.variance_kept.mean)} of the variance"
    )
    evidence = {
        "n_networks": change.n_networks,
        "subspace_angle": row.subspace_angle.mean,
        "largest_angle": row.largest_angle.mean,
        "variance_kept": row.variance_kept.mean,
        "variance_kept_by_chance": _by_chance(change),
    }
    return Finding(headline, sentence, None, evidence)


def _by_chance(change: ConceptChange) -> float:
    """The share of any direction that lies, on average over networks, in a random space of as many dimensions."""
    return change.components.height / (change.n_networks * change.d_model)  # small experts have fewer components


def _yardstick(change: ConceptChange) -> str:
    if _by_chance(change) >= 1:
        return "The components span the whole of the model's space, so these numbers could not be any other."
    return f"A space that has nothing to do with them would hold {_percent(_by_chance(change))} on average."


def _components(change: ConceptChange) -> Finding:
    """How far components turned, and those among them of which it means something."""
    row = _pooled(change)
    sentence = (
        f"A component of {change.base} and its best match among those of {change.tuned} lie "
        f"{_degrees(row.component_angle.mean)}{_between(row.component_angle_interval, _degrees)} apart, on average "
        f"over {change.n_networks:,} networks; {_percent(row.kept_in_order.mean)} have a best match of the same rank. "
        f"{_by_layers(change, lambda row: _degrees(row.component_angle.mean))}{_separated(change, row)} {DESCRIBED}"
    )
    headline = f"Concepts: a component turned by {_degrees(row.component_angle.mean)} on average"
    if row.n_separated:
        headline += f", a well-separated one by {_degrees(row.separated_angle.mean)}"
    evidence = {
        "component_angle": row.component_angle.mean,
        "component_angle_interval": row.component_angle_interval,
        "separated_angle": row.separated_angle.mean,
        "n_separated": row.n_separated,
        "n_components": change.components.height,
        "kept_in_order": row.kept_in_order.mean,
    }
    return Finding(headline, sentence, None, evidence)


def _separated(change: ConceptChange, row: RotationRow) -> str:
    mix = "Components of nearly the same variance may mix whatever tuning did, so much of that angle may mean little."
    limit, n_components = f"{LEAST_GAP:.0%}", change.components.height
    if not row.n_separated:
        return f"{mix} None of the {n_components:,} has a variance that differs from all others by {limit} or more."
    return (
        f"{mix} The {row.n_separated:,} of {n_components:,} whose variance differs from all others of their network by "
        f"{limit} or more turned by {_degrees(row.separated_angle.mean)}, on average over {row.separated_angle.n:,} "
        "networks."
    )


def _words(change: ConceptChange) -> Finding:
    """Which words a component keeps."""
    row, n_new, n_tuned = _pooled(change), change.new_components().height, change.tuned_components.height
    sentence = (
        f"Of the words of a component of {change.base}, {_percent(row.words_kept.mean)}"
        f"{_between(row.words_kept_interval, _percent)} are words of its best match in {change.tuned} too, on average "
        f"over {row.words_kept.n:,} networks. {_by_layers(change, lambda row: _percent(row.words_kept.mean))}"
        f"{n_new:,} of the {n_tuned:,} components of {change.tuned} are the best match of none of {change.base}. "
        f"{DESCRIBED}"
    )
    evidence = {
        "words_kept": row.words_kept.mean,
        "words_kept_interval": row.words_kept_interval,
        "n_new": n_new,
        "n_tuned": n_tuned,
    }
    return Finding(
        f"Concepts: components keep {_percent(row.words_kept.mean)} of their words", sentence, None, evidence
    )


def _trend_p_value(trend: RotationTrend) -> float | None:
    """That of a trend of components which the spaces show too."""
    if trend.correlation is None or trend.p_value is None:
        return None
    backed = (trend.subspace_correlation or 0.0) * trend.correlation > 0 and trend.subspace_p_value is not None
    return max(trend.p_value, trend.subspace_p_value or 0.0) if backed else NEVER


def _depth(trend: RotationTrend, corrected: float | None) -> Iterator[Finding]:
    """Did components of deeper networks turn more, and their spaces too?"""
    shown = is_shown(corrected)
    if shown is None:
        return
    sentence = (
        f"Over {trend.n_networks:,} networks in {trend.n_layers} layers, layer and the angle from a component to its "
        f"best match have a rank correlation of {_correlation(trend.correlation, trend.p_value)}, layers permuted. "
        f"For the angle between the spaces it is {_correlation(trend.subspace_correlation, trend.subspace_p_value)}; "
        f"a trend is claimed where both show it. {corrected_by(corrected)}"
    )
    more = "more" if (trend.correlation or 0.0) > 0 else "less"
    headline = f"Concepts: {f'components of deeper layers turned {more}' if shown else 'no trend with depth shown'}"
    evidence: dict[str, Any] = {"n_networks": trend.n_networks, "n_layers": trend.n_layers}
    evidence |= {"correlation": trend.correlation, "p_value": trend.p_value}
    evidence |= {"subspace_correlation": trend.subspace_correlation, "subspace_p_value": trend.subspace_p_value}
    yield Finding(headline, sentence, shown, evidence | {"p_value_corrected": corrected})


def _pooled(change: ConceptChange) -> RotationRow:
    return change.rotation[-1]


def _by_layers(change: ConceptChange, say: Callable[[RotationRow], str]) -> str:
    """What each group of layers says, if there are several."""
    rows = [row for row in change.rotation if not row.pooled]
    return f"By layers: {', '.join(f'{row.layers} {say(row)}' for row in rows)}. " if len(rows) > 1 else ""


def _correlation(value: float | None, p_value: float | None) -> str:
    return "not defined" if value is None else f"{value:+.2f} (p = {p_value:.2g})"


def _degrees(angle: float | None) -> str:
    """With two digits where the angle is small."""
    if angle is None:
        return "not defined"
    return f"{angle:.2g}°" if 0 < angle < 1 else f"{angle:.1f}°"


def _percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1%}"


def _between(interval: Interval | None, say: Callable[[float], str]) -> str:
    return f" [{say(interval[0])}, {say(interval[1])}]" if interval else ""
