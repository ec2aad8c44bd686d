"""What does the comparison of heads show, in sentences?

1. Figure 2, and the trend with depth: a change is claimed only where it exceeds that of lists with arbitrary word
   vectors (every control), tested and corrected for all that the report asks (`questions`). Where it does not, the
   neurons take up other words; whether other words belong together is then not shown.
2. Table 3: claims of `head_claims`.
3. The heads that gained most pairs with the words asked about: described, not tested.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.claims import claims
from aftertune.explainers.heads.list_changes import holds
from aftertune.explainers.heads.rows import DepthControl, DepthTrend, Figure2Control, Figure2Row
from aftertune.statistics.finding import Finding
from aftertune.statistics.intervals import Interval
from aftertune.statistics.questions import NEVER, Question, answer, corrected_by, described, is_shown, largest
from aftertune.statistics.tests import ALPHA

LISTED_HEADS, LISTED_PAIRS = 5, 3
VECTORS = "with {} word vectors"


def describe_heads(change: HeadChange) -> list[Finding]:
    """The findings of a comparison of heads, how much changed first, corrected for what is asked of heads alone."""
    return answer(head_questions(change))


def head_questions(change: HeadChange) -> list[Question]:
    """What a report asks of heads."""
    head, neuron = (_rows(change, level)[-1] for level in ("head", "neuron pair"))
    if head.distance.mean is None and neuron.distance.mean is None:
        return [described([_without_pairs(change)])]
    if not head.distance.mean and not neuron.distance.mean:
        return [described([_unchanged(change, head, neuron)])]
    tables = [row for row in change.table3 if row.pooled or len(change.table3) > 2]  # one group is the pooled row
    changed = Question([_excess_p_value(head)], lambda p: [_changed(change, head, neuron, p[0])])
    trend = Question([_trend_p_value(change.depth)], lambda p: list(_depth(change, p[0])))
    return [changed, trend, claims(tables, change), described([_gaining(change)])]


def _rows(change: HeadChange, level: str) -> list[Figure2Row]:
    """The rows of figure 2 of a level, the pooled one last."""
    return [row for row in change.figure2 if row.level == level]


def _without_pairs(change: HeadChange) -> Finding:
    sentence = (
        f"No head of {change.base} or {change.tuned} has a word pair, so nothing can be compared. The vocabulary has "
        f"{change.n_words:,} words, {change.n_with_vector:,} of them with a word vector."
    )
    return Finding("Heads: no word pair in either model", sentence, None, {"n_words": change.n_words})


def _unchanged(change: HeadChange, head: Figure2Row, neuron: Figure2Row) -> Finding:
    sentence = (
        f"All word pairs of {change.base} and {change.tuned} are the same, in the {head.distance.n:,} heads and "
        f"{change.neurons.height:,} neuron pairs that have any."
    )
    return Finding(
        "Heads: nothing changed", sentence, None, {"head": _evidence(head), "neuron_pair": _evidence(neuron)}
    )


def _excess_p_value(head: Figure2Row) -> float | None:
    """That of a change beyond every control; None without a control or its test."""
    return largest(*(control.excess_p_value for control in head.controls))


def _changed(change: HeadChange, head: Figure2Row, neuron: Figure2Row, corrected: float | None) -> Finding:
    """Figure 2: how far the lists lie apart, and whether arbitrary words would show the same."""
    exceeds = is_shown(corrected)
    groups = [f"{row.layers} {_percent(row.distance.mean)}" for row in _rows(change, "head") if not row.pooled]
    sentence = (
        f"Of the word pairs in a head's list under {change.base} or {change.tuned}, "
        f"{_percent(head.distance.mean)}{_between(head.interval)} stand in one of the two lists only, on average over "
        f"{head.distance.n:,} heads; of those of a neuron pair {_percent(neuron.distance.mean)}. By layers: "
        f"{', '.join(groups)}. {''.join(map(_against, head.controls))}{_verdict(exceeds, corrected)}"
    )
    than = "" if exceeds is None else f", {'more' if exceeds else 'no more'} than in lists of arbitrary words"
    headline = f"Heads: {_percent(head.distance.mean)} of word pairs changed{than}"
    evidence = {"head": _evidence(head), "neuron_pair": _evidence(neuron), "p_value_corrected": corrected}
    return Finding(headline, sentence, exceeds, evidence)


def _evidence(row: Figure2Row) -> dict[str, Any]:
    found = {"n_heads": row.distance.n, "distance": row.distance.mean, "distance_interval": row.interval}
    return found | {f"excess_interval_{control.control}": control.excess_interval for control in row.controls}


def _against(control: Figure2Control) -> str:
    points = _points(control.excess, control.excess_interval)
    excess = f", the excess head by head {points}" if points else ""
    return f"{VECTORS.format(control.control).capitalize()} it is {_percent(control.distance)}{excess}. "


def _verdict(exceeds: bool | None, corrected: float | None) -> str:
    if exceeds is None:
        return "There are too few control lists to say whether lists of arbitrary words would change less."
    if exceeds:
        return (
            f"{corrected_by(corrected)} The lists changed more than lists of arbitrary words: beyond the words that "
            "neurons take up, tuning changed which of them belong together."
        )
    return (
        f"{corrected_by(corrected)} That is not more than lists of arbitrary words change, so this is a change of "
        "which words the neurons take up; that tuning changed which of them belong together is not shown."
    )


def _trend_p_value(trend: DepthTrend) -> float | None:
    """That of a trend which the excess over every control shows too."""
    if trend.p_value is None or trend.correlation is None:
        return None
    goes_along = [_goes_along(control, trend.correlation) for control in trend.controls]
    return largest(trend.p_value, *goes_along) if goes_along else NEVER


def _goes_along(control: DepthControl, correlation: float) -> float:
    """The p-value of the excess over the control if it goes with depth as the distance itself does."""
    excess, p_value = control.excess_correlation, control.excess_p_value
    return p_value if excess is not None and p_value is not None and excess * correlation > 0 else NEVER


def _depth(change: HeadChange, corrected: float | None) -> Iterator[Finding]:
    """Do deeper heads change more, and more than their controls?"""
    trend, shown = change.depth, is_shown(corrected)
    if shown is None or trend.correlation is None or trend.p_value is None:
        return
    as_controls = trend.p_value < ALPHA and (_trend_p_value(trend) or 0.0) >= ALPHA
    doubt = f"no trend with depth shown{' beyond that of arbitrary words' if as_controls else ''}"
    claim = f"deeper heads change {'more' if trend.correlation > 0 else 'less'}"
    sentence = (
        f"Over {trend.n_heads:,} heads in {trend.n_layers} layers, layer and distance have a rank correlation of "
        f"{trend.correlation:+.2f} (p = {trend.p_value:.2g}, layers permuted). {''.join(map(_trend, trend.controls))}"
        f"{corrected_by(corrected)}"
    )
    evidence = _trend_evidence(trend) | {"p_value_corrected": corrected}
    yield Finding(f"Heads: {claim if shown else doubt}", sentence, shown, evidence)


def _trend_evidence(trend: DepthTrend) -> dict[str, Any]:
    excess = {f"excess_p_value_{control.control}": control.excess_p_value for control in trend.controls}
    return {"n_heads": trend.n_heads, "correlation": trend.correlation, "p_value": trend.p_value} | excess


def _trend(control: DepthControl) -> str:
    if control.correlation is None or control.excess_correlation is None:
        return ""
    vectors = VECTORS.format(control.control).capitalize()
    return (
        f"{vectors} it is {control.correlation:+.2f} (p = {control.p_value:.2g}), that of the excess "
        f"{control.excess_correlation:+.2f} (p = {control.excess_p_value:.2g}). "
    )


def _gaining(change: HeadChange) -> Finding:
    """The heads that gained most pairs with the words asked about."""
    gaining = change.gaining_heads()
    held = holds(change.verbs_present) & (pl.col("change") == "gained")
    pairs, listed = change.pairs.filter(held), gaining.head(LISTED_HEADS).to_dicts()
    parts = [_head(row, pairs) for row in listed]
    sentence = f"{gaining.height} of {change.heads.height} heads gained a pair with {change.asked}"
    most = f": most of all {'; '.join(parts)}" if parts else ""
    evidence = {"n_gaining": gaining.height, "n_heads": change.heads.height}
    headline = f"{gaining.height} of {change.heads.height} heads gained pairs with {change.asked}"
    return Finding(headline, f"{sentence}{most}. This is a description; no test was made.", None, evidence)


def _head(row: dict[str, int], pairs: pl.DataFrame) -> str:
    own = pairs.filter((pl.col("layer") == row["layer"]) & (pl.col("head") == row["head"])).head(LISTED_PAIRS)
    some = ", ".join(f"{a} = {b}" for a, b in own.select("word_a", "word_b").iter_rows())
    return f"layer {row['layer']}, head {row['head']}: {row['verbs_gained']} gained ({some}), {row['verbs_lost']} lost"


def _percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1%}"


def _between(interval: Interval | None) -> str:
    return f" [{interval[0]:.1%}, {interval[1]:.1%}]" if interval else ""


def _points(share: float | None, interval: Interval | None) -> str:
    if share is None:
        return ""
    between = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
    return f"{100 * share:+.1f} points{between}"
