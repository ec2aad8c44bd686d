"""What does the comparison of feed-forward layers show, in sentences?

1. "concepts.written" and "concepts.read": the words of the change of weights itself (`written_findings`).
2. "concepts.rotation": how far the spaces of the components rotated, and how much of the tuned components' variance
   they keep, beside the same of noise of the same size and of spaces without any relation. Described, not tested: any
   change of weights rotates spaces.
3. "concepts.components": how far components rotated, and how far those that are well separated: the others may mix
   whatever tuning did.
4. "concepts.words": the words that a component shares with its best match, and the components that are no best match.
5. "concepts.chance": of how many components the words are nearer than chance would give (`chance`). It says how far to
   trust the words of either model, and claims no difference between the two.
6. "concepts.depth": did deeper layers rotate more?  Described beside noise: layers next to one another are alike, so
   that permuted layers would find a trend in almost any change of weights.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import polars as pl

from aftertune.explainers.concepts.chance import ChanceRow
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.matches import LEAST_GAP
from aftertune.explainers.concepts.network_rotation import RotationRow
from aftertune.explainers.concepts.written_findings import written_questions
from aftertune.statistics.finding import Finding, Link, Measure, Verdict
from aftertune.statistics.questions import Question, answer, described
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
    found = [_rotation(change), _components(change), _words(change), *_chance(change), *_depth(change)]
    return [*written_questions(change.written, change.written_test, change.read), described(found)]


def measures(change: ConceptChange) -> tuple[Measure, ...]:
    """The numbers that are set beside those of other pairs of models, over all layers."""
    row, phrase = change.rotation_of_all, "well separated components rotated by {value:.2f}°"
    of, words = "the components of feed-forward layers", "the words of feed-forward components"
    spaces, angle, kept = (_of_noise(change, name) for name in ("subspace_angle", "separated_angle", "words_kept"))
    return (
        Measure("subspace_angle", "Angle of spaces, °", "number", row.subspace_angle.mean, of, "", control=spaces),
        Measure("separated_angle", "Well separated, °", "number", row.separated_angle.mean, of, phrase, control=angle),
        Measure(
            "words_kept", "Words kept, %", "percent", row.words_kept.mean, words, "", row.words_kept_interval, kept
        ),
    )


def _of_noise(change: ConceptChange, name: str) -> float | None:
    """The mean of a number of `RotationRow` under noise of the same size, over all layers; None without noise."""
    row = change.rotation_of_noise
    found: float | None = None if row is None else getattr(row, name).mean
    return found


def _beside_noise(value: float | None, say: Callable[[float | None], str]) -> str:
    return "" if value is None else f"Noise of the same size: {say(value)}. "


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
            f"{_beside_noise(_of_noise(change, 'subspace_angle'), _degrees)}"
            f"The spaces of {change.base} hold {kept} of the variance of {change.tuned}'s components. "
            f"{_yardstick(change)}"
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            "is_unchanged": False,
            "n_networks": change.n_networks,
            "subspace_angle": row.subspace_angle.mean,
            "subspace_angle_noise": _of_noise(change, "subspace_angle"),
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
            f"rank. {_by_layers(change, lambda row: _degrees(row.component_angle.mean))}"
            f"{_beside_noise(_of_noise(change, 'component_angle'), _degrees)}{_separated(change, row)}"
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            "component_angle": row.component_angle.mean,
            "component_angle_interval": row.component_angle_interval,
            "component_angle_noise": _of_noise(change, "component_angle"),
            "separated_angle": row.separated_angle.mean,
            "separated_angle_noise": _of_noise(change, "separated_angle"),
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
        f"{_networks(row.separated_angle.n)}. {_beside_noise(_of_noise(change, 'separated_angle'), _degrees)}"
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
            f"{_beside_noise(_of_noise(change, 'words_kept'), _percent)}"
            f"{n_new:,} of the {n_tuned:,} components of {change.tuned} are the best match of none of {change.base}."
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            "words_kept": row.words_kept.mean,
            "words_kept_noise": _of_noise(change, "words_kept"),
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


def _depth(change: ConceptChange) -> Iterator[Finding]:
    """Did components of deeper networks rotate more, and their spaces?"""
    trend, noise = change.trend, change.trend_noise
    if trend.correlation is None:
        return
    own, beside = (
        (one.correlation, one.subspace_correlation) if one is not None else (None, None) for one in (trend, noise)
    )
    with_noise = "" if noise is None else f", with noise of the same size {_correlation(beside[0])}"
    yield Finding(
        kind="concepts.depth",
        headline=f"Feed-forward layers: rank correlation of depth and rotation {_correlation(own[0])}{with_noise}",
        sentence=(
            f"Over {_networks(trend.n_networks)} in {trend.n_layers} layers, the rank correlation of depth with the "
            f"angle from a component to its best match is {_correlation(own[0])}, with the angle of the spaces "
            f"{_correlation(own[1])}{'' if noise is None else f'; with noise {_correlation(beside[0])} and '}"
            f"{'' if noise is None else _correlation(beside[1])}. Neighbouring layers are alike, so this is no test."
        ),
        verdict=Verdict.NOT_TESTED,
        evidence={
            **{"n_networks": trend.n_networks, "n_layers": trend.n_layers},
            **{"correlation": own[0], "subspace_correlation": own[1]},
            **{"correlation_noise": beside[0], "subspace_correlation_noise": beside[1]},
        },
    )


def _by_layers(change: ConceptChange, say: Callable[[RotationRow], str]) -> str:
    """What each group of layers says, if there are several."""
    rows = [row for row in change.rotation if not row.pooled]
    return f"By layers: {', '.join(f'{say(row)} ({row.layers})' for row in rows)}. " if len(rows) > 1 else ""


def _networks(n: int) -> str:
    return f"{n:,} network{'' if n == 1 else 's'}"


def _correlation(value: float | None) -> str:
    return "not defined" if value is None else f"{value:+.2f}"


def _degrees(angle: float | None) -> str:
    """With two digits where the angle is small."""
    if angle is None:
        return "not defined"
    return f"{angle:.2g}°" if 0 < angle < 1 else f"{angle:.1f}°"


def _percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1%}"


def _between(interval: Interval | None, say: Callable[[float], str]) -> str:
    return f" [{say(interval[0])}, {say(interval[1])}]" if interval else ""
