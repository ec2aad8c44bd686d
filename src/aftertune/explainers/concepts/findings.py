"""What does the comparison of feed-forward layers show, in sentences?

1. "concepts.rotation": how far the spaces of the components rotated, and how much of the tuned components' variance
   they keep. Described, not tested: no chance decides how far a space rotates. Beside it stands what spaces without
   any relation would keep.
2. "concepts.components": how far components rotated, and how far those that are well separated: the others may mix
   whatever tuning did.
3. "concepts.words": the words that a component shares with its best match, and the components that are no best match.
4. "concepts.chance": of how many components the words are nearer than chance would give (`chance`). It says how far to
   trust the words of either model, and claims no difference between the two.
5. "concepts.depth": did deeper layers rotate more?  Claimed only where permuted layers show it for components and the
   angles of their spaces go the same way, corrected for all that the report asks (`questions`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from aftertune.explainers.concepts.chance import ChanceRow
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.matches import LEAST_GAP
from aftertune.explainers.concepts.network_rotation import RotationRow, RotationTrend
from aftertune.statistics.finding import Finding, Link, Measure, Verdict
from aftertune.statistics.questions import NEVER, Question, answer, corrected_by, described, is_shown
from aftertune.statistics.spread import ALPHA, Interval

ROTATION = "concepts.rotation"
N_LINKS = 3


def describe_concepts(change: ConceptChange) -> list[Finding]:
    """The findings of a comparison of feed-forward layers, how far spaces rotated first; corrected for them alone."""
    return answer(questions(change))


def questions(change: ConceptChange) -> list[Question]:
    """What a report asks of feed-forward layers."""
    if change.is_unchanged:
        return [described([_unchanged(change), *_chance(change)])]
    found = [_rotation(change), _components(change), _words(change), *_chance(change)]
    trend = change.trend
    return [described(found), Question([_trend_p_value(trend)], lambda p: list(_depth(trend, p[0])))]


def measures(change: ConceptChange) -> tuple[Measure, ...]:
    """The numbers that are set beside those of other pairs of models, over all layers."""
    row, phrase = change.rotation_of_all, "well separated components rotated by {value:.2f}°"
    of, words = "the components of feed-forward layers", "the words of feed-forward components"
    return (
        Measure("subspace_angle", "Angle of spaces, °", "number", row.subspace_angle.mean, of, ""),
        Measure("separated_angle", "Well separated, °", "number", row.separated_angle.mean, of, phrase),
        Measure("words_kept", "Words kept, %", "percent", row.words_kept.mean, words, "", row.words_kept_interval),
    )


def _unchanged(change: ConceptChange) -> Finding:
    n_components = change.components.height
    return Finding(
        kind=ROTATION,
        headline="Feed-forward layers: nothing changed",
        sentence=(
            f"All {n_components:,} components of {_networks(change.n_networks)} are the same in {change.base} and "
            f"{change.tuned}, in direction, variance and words."
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={"is_unchanged": True, "n_networks": change.n_networks, "n_components": n_components},
    )


def _rotation(change: ConceptChange) -> Finding:
    """How far the spaces rotated, and what they keep."""
    row = change.rotation_of_all
    angle, kept = _degrees(row.subspace_angle.mean), _percent(row.variance_kept.mean)
    return Finding(
        kind=ROTATION,
        headline=f"Feed-forward layers: the component spaces rotated by {angle} and keep {kept} of the variance",
        sentence=(
            f"From {change.base} to {change.tuned}, the space that the first {change.n_components:,} components of a "
            f"feed-forward network span rotated by {angle}: the mean of the principal angles over "
            f"{_networks(change.n_networks)}, of which the largest is {_degrees(row.largest_angle.mean)} on average. "
            f"{_by_layers(change, lambda row: _degrees(row.subspace_angle.mean))}"
            f"The spaces of {change.base} hold {kept} of the variance of {change.tuned}'s components. "
            f"{_yardstick(change)}"
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            "is_unchanged": False,
            "n_networks": change.n_networks,
            "subspace_angle": row.subspace_angle.mean,
            "largest_angle": row.largest_angle.mean,
            "variance_kept": row.variance_kept.mean,
            "variance_kept_by_chance": _kept_by_chance(change),
        },
        links=_most_rotated(change),
    )


def _most_rotated(change: ConceptChange) -> tuple[Link, ...]:
    """The networks whose spaces rotated most, to be opened in the report."""
    known = change.networks.filter(pl.col("mean_principal_angle").is_not_null())
    first = known.sort("mean_principal_angle", descending=True, maintain_order=True).head(N_LINKS)
    has_experts = change.networks["expert"].n_unique() > 1
    return tuple(
        Link(f"Layer {layer}{f', expert {expert}' if has_experts else ''}", f"concept-{expert}-{layer}")
        for layer, expert in first.select("layer", "expert").iter_rows()
    )


def _kept_by_chance(change: ConceptChange) -> float:
    """The share of any direction that lies, on average over networks, in a random space of as many dimensions."""
    return change.components.height / (change.n_networks * change.d_model)  # small experts have fewer components


def _yardstick(change: ConceptChange) -> str:
    if _kept_by_chance(change) >= 1:
        return "But the components span all of the model's space, so these numbers could not be any other."
    return f"Unrelated spaces of this size would hold {_percent(_kept_by_chance(change))}."


def _components(change: ConceptChange) -> Finding:
    """How far components rotated, and those among them of which it means something."""
    row = change.rotation_of_all
    headline = f"Feed-forward layers: a component rotated by {_degrees(row.component_angle.mean)} on average"
    if row.n_separated:
        headline += f", a well separated one by {_degrees(row.separated_angle.mean)}"
    return Finding(
        kind="concepts.components",
        headline=headline,
        sentence=(
            f"A component of {change.base} lies {_degrees(row.component_angle.mean)}"
            f"{_between(row.component_angle_interval, _degrees)} from its best match in {change.tuned}, on average "
            f"over {_networks(change.n_networks)}; {_percent(row.kept_in_order.mean)} have a best match of the same "
            f"rank. {_by_layers(change, lambda row: _degrees(row.component_angle.mean))}{_separated(change, row)}"
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            "component_angle": row.component_angle.mean,
            "component_angle_interval": row.component_angle_interval,
            "separated_angle": row.separated_angle.mean,
            "n_separated": row.n_separated,
            "n_components": change.components.height,
            "kept_in_order": row.kept_in_order.mean,
        },
    )


def _separated(change: ConceptChange, row: RotationRow) -> str:
    mix = "Components of nearly equal variance mix at the least change of weights, so a large angle may mean little."
    limit, n_components = f"{LEAST_GAP:.0%}", change.components.height
    if not row.n_separated:
        return f"{mix} None of the {n_components:,} has a variance that differs from all others by {limit} or more."
    return (
        f"{mix} Rely on those that are well separated, by {limit} of their variance or more: these "
        f"{row.n_separated:,} of {n_components:,} rotated by {_degrees(row.separated_angle.mean)}, on average over "
        f"{_networks(row.separated_angle.n)}."
    )


def _words(change: ConceptChange) -> Finding:
    """Which words a component keeps."""
    row, n_new, n_tuned = change.rotation_of_all, change.new_components().height, change.tuned_components.height
    kept = _percent(row.words_kept.mean)
    return Finding(
        kind="concepts.words",
        headline=f"Feed-forward layers: components keep {kept} of their words",
        sentence=(
            f"{kept}{_between(row.words_kept_interval, _percent)} of the words of a component of {change.base} are "
            f"also words of its best match in {change.tuned}, on average over {_networks(row.words_kept.n)}. "
            f"{_by_layers(change, lambda row: _percent(row.words_kept.mean))}"
            f"{n_new:,} of the {n_tuned:,} components of {change.tuned} are the best match of none of {change.base}."
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            "words_kept": row.words_kept.mean,
            "words_kept_interval": row.words_kept_interval,
            "n_new": n_new,
            "n_tuned": n_tuned,
        },
    )


def _chance(change: ConceptChange) -> Iterator[Finding]:
    """How many components have words that are nearer than chance would give, if that was measured."""
    of_all = [row for row in change.chance if row.pooled]
    if not of_all:
        return
    models = [[row for row in change.chance if row.model == one.model] for one in of_all]
    counts = ", ".join(f"{row.n_beyond:,} of {row.n:,} in {row.model}" for row in of_all)
    yield Finding(
        kind="concepts.chance",
        headline=f"Feed-forward layers: components with words nearer than chance: {counts}",
        sentence=(
            f"{' '.join(map(_model, models))} Do not read a concept into the words of the other components: some of "
            "many words lie along any direction. This is a control of the words, not a difference between the models."
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            row.model: {one.ranks: asdict(one) for one in rows} for row, rows in zip(of_all, models, strict=True)
        },
    )


def _model(rows: Sequence[ChanceRow]) -> str:
    """What is said of one model: how many are beyond chance, of all and by rank, and the median over components."""
    of_all = next(row for row in rows if row.pooled)
    ranks = ", ".join(f"{one.n_beyond:,} of {one.n:,} at rank {one.ranks}" for one in rows if not one.pooled)
    return (
        f"In {of_all.model}, {of_all.n_beyond:,} of {of_all.n:,} components have words nearer than chance, at a false "
        f"discovery rate of {ALPHA:.0%}{f' ({ranks})' if ranks else ''}; the median |cosine| of the nearest word is "
        f"{of_all.nearest:.3f}, along random directions {of_all.nearest_by_chance:.3f}."
    )


def _trend_p_value(trend: RotationTrend) -> float | None:
    """That of a trend of components which the spaces show too."""
    if trend.correlation is None or trend.p_value is None:
        return None
    agrees = (trend.subspace_correlation or 0.0) * trend.correlation > 0 and trend.subspace_p_value is not None
    return max(trend.p_value, trend.subspace_p_value or 0.0) if agrees else NEVER


def _depth(trend: RotationTrend, corrected: float | None) -> Iterator[Finding]:
    """Did components of deeper networks rotate more, and their spaces too?"""
    shown = is_shown(corrected)
    if shown is None:
        return
    more = "more" if (trend.correlation or 0.0) > 0 else "less"
    claim = f"deeper layers rotated {more}" if shown else "no trend with depth was found"
    evidence: dict[str, Any] = {"n_networks": trend.n_networks, "n_layers": trend.n_layers}
    evidence |= {"correlation": trend.correlation, "p_value": trend.p_value}
    evidence |= {"subspace_correlation": trend.subspace_correlation, "subspace_p_value": trend.subspace_p_value}
    yield Finding(
        kind="concepts.depth",
        headline=f"Feed-forward layers: {claim}",
        sentence=(
            f"Over {_networks(trend.n_networks)} in {trend.n_layers} layers, the rank correlation of depth with the "
            f"angle from a component to its best match is {_correlation(trend.correlation, trend.p_value)}, with the "
            f"angle of the spaces {_correlation(trend.subspace_correlation, trend.subspace_p_value)}, by permutations "
            f"of layers. A trend is claimed where both show it. {corrected_by(corrected)}"
        ),
        verdict=Verdict.of(shown),
        evidence=evidence | {"p_value_corrected": corrected},
    )


def _by_layers(change: ConceptChange, say: Callable[[RotationRow], str]) -> str:
    """What each group of layers says, if there are several."""
    rows = [row for row in change.rotation if not row.pooled]
    return f"By layers: {', '.join(f'{say(row)} ({row.layers})' for row in rows)}. " if len(rows) > 1 else ""


def _networks(n: int) -> str:
    return f"{n:,} network{'' if n == 1 else 's'}"


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
