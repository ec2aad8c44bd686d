"""What does the comparison of heads show, in sentences?

1. Figure 2, and the trend with depth: a change is claimed only where it exceeds that of lists with arbitrary word
   vectors (every control), tested and corrected for all that the report asks (`questions`). Where it does not, the
   neurons respond to other words; whether other words belong together is then not shown.
2. Table 3 (`word_findings`).
3. The heads that gained most pairs with the words asked about: described, not tested.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from aftertune.explainers.heads.change import NEURON_LEVEL, DepthControl, DepthTrend, Figure2Row, HeadChange
from aftertune.explainers.heads.list_changes import holds
from aftertune.explainers.heads.verb_findings import word_question
from aftertune.statistics.finding import Finding, Link, Verdict
from aftertune.statistics.questions import NEVER, Question, corrected_by, described, is_shown, largest
from aftertune.statistics.spread import ALPHA, Interval

DISTANCE, DEPTH, GAINING = "heads.distance", "heads.depth", "heads.gaining"
UNCHANGED, NO_PAIRS = "heads.unchanged", "heads.no_pairs"
LISTED_HEADS, LISTED_PAIRS = 5, 3
COMPARED = {
    Verdict.SHOWN: ", more than in every control",
    Verdict.NOT_SHOWN: ", no more than in the controls",
    Verdict.CANNOT_TELL: "",
}
MEANING = {
    Verdict.SHOWN: "Tuning changed which words belong together, not only which words the neurons respond to.",
    Verdict.NOT_SHOWN: (
        "No change in which words belong together was found: lists made with arbitrary word vectors did not change "
        "significantly less."
    ),
    Verdict.CANNOT_TELL: "There are too few control lists to tell whether arbitrary word vectors would change less.",
}


def questions(change: HeadChange) -> list[Question]:
    """What a report asks of heads, how much changed first."""
    (head, controls), (neuron, _) = change.pooled_distance(), change.pooled_distance(NEURON_LEVEL)
    if head.distance.mean is None and neuron.distance.mean is None:
        return [described([_without_pairs(change)])]
    if not head.distance.mean and not neuron.distance.mean:
        return [described([_unchanged(change)])]
    beyond = largest(*(control.excess_p_value for control in controls))
    return [
        Question([beyond], lambda p: [_distance(change, p[0])]),
        Question([_trend_p_value(change.depth)], lambda p: list(_depth(change.depth, p[0]))),
        word_question(change),
        described([_gaining(change)]),
    ]


def _without_pairs(change: HeadChange) -> Finding:
    sentence = (
        f"Heads can't be compared: none of {change.base} or {change.tuned} has a word pair. The vocabulary has "
        f"{change.n_words:,} words, {change.n_with_vector:,} of them with a word vector."
    )
    headline, evidence = "Heads: no word pair in either model", {"n_words": change.n_words}
    return Finding(NO_PAIRS, headline, sentence, Verdict.CANNOT_TELL, evidence)


def _unchanged(change: HeadChange) -> Finding:
    (head, _), n_neurons = change.pooled_distance(), change.neurons.height
    sentence = (
        f"All word pairs of {change.base} and {change.tuned} are the same, in the {head.distance.n:,} heads and "
        f"{n_neurons:,} neuron pairs that have any."
    )
    return Finding(UNCHANGED, "Heads: nothing changed", sentence, Verdict.NOT_TESTED, _levels(change))


def _distance(change: HeadChange, corrected: float | None) -> Finding:
    """Figure 2: how far the lists lie apart, and whether arbitrary words would show the same."""
    (head, controls), (neuron, _) = change.pooled_distance(), change.pooled_distance(NEURON_LEVEL)
    verdict = Verdict.of(is_shown(corrected))
    groups = [f"{_percent(row.distance.mean)} ({row.layers})" for row in change.distances() if not row.pooled]
    parts = [
        MEANING[verdict],
        f"On average over {head.distance.n:,} heads, {_percent(head.distance.mean)}{_between(head.interval)} of the "
        f"word pairs in a head's list are in the list of one model only{_of_neurons(neuron)}. By layers: "
        f"{', '.join(groups)}.",
        *map(_against, controls),
        corrected_by(corrected),
    ]
    headline = f"Heads: {_percent(head.distance.mean)} of word pairs changed{COMPARED[verdict]}"
    evidence = _levels(change) | {"p_value_corrected": corrected}
    return Finding(DISTANCE, headline, " ".join(part for part in parts if part), verdict, evidence)


def _of_neurons(neuron: Figure2Row) -> str:
    share = neuron.distance.mean
    return "" if share is None else f"; of the pairs of a neuron pair, {_percent(share)} are"


def _levels(change: HeadChange) -> dict[str, Any]:
    levels = {"head": change.pooled_distance(), "neuron_pair": change.pooled_distance(NEURON_LEVEL)}
    return {name: _evidence(row, controls) for name, (row, controls) in levels.items()}


def _evidence(row: Figure2Row, controls: Sequence[Figure2Row]) -> dict[str, Any]:
    found = {"n_heads": row.distance.n, "distance": row.distance.mean, "distance_interval": row.interval}
    return found | {
        "controls": {
            control.lists: {
                "distance": control.distance.mean,
                "excess": control.excess,
                "excess_interval": control.excess_interval,
                "p_value": control.excess_p_value,
            }
            for control in controls
        }
    }


def _against(control: Figure2Row) -> str:
    points = _points(control.excess, control.excess_interval)
    excess = f" (difference head by head: {points})" if points else ""
    return f"With {control.lists} word vectors it is {_percent(control.distance.mean)}{excess}."


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


def _depth(trend: DepthTrend, corrected: float | None) -> Iterator[Finding]:
    """Do deeper heads change more, and more than their controls?  Nothing where that can't be tested."""
    shown = is_shown(corrected)
    if shown is None or trend.correlation is None or trend.p_value is None:
        return
    as_controls = trend.p_value < ALPHA and (_trend_p_value(trend) or 0.0) >= ALPHA
    doubt = f"no trend with depth found{' beyond that of the controls' if as_controls else ''}"
    claim = f"deeper heads change {'more' if trend.correlation > 0 else 'less'}"
    parts = [
        f"Over {trend.n_heads:,} heads in {trend.n_layers} layers, layer and distance have a rank correlation of "
        f"{trend.correlation:+.2f} (p = {trend.p_value:.2g}, layers permuted).",
        *map(_control_trend, trend.controls),
        corrected_by(corrected),
    ]
    evidence = {
        **{"n_heads": trend.n_heads, "correlation": trend.correlation, "p_value": trend.p_value},
        **{"as_controls": as_controls, "controls": {one.control: _excess_trend(one) for one in trend.controls}},
        "p_value_corrected": corrected,
    }
    sentence = " ".join(part for part in parts if part)
    yield Finding(DEPTH, f"Heads: {claim if shown else doubt}", sentence, Verdict.of(shown), evidence)


def _excess_trend(control: DepthControl) -> dict[str, Any]:
    return {"excess_correlation": control.excess_correlation, "p_value": control.excess_p_value}


def _control_trend(control: DepthControl) -> str:
    if control.correlation is None or control.excess_correlation is None:
        return ""
    return (
        f"With {control.control} word vectors it is {control.correlation:+.2f} (p = {control.p_value:.2g}), for "
        f"the excess over them {control.excess_correlation:+.2f} (p = {control.excess_p_value:.2g})."
    )


def _gaining(change: HeadChange) -> Finding:
    """The heads that gained most pairs with the words asked about."""
    gaining = change.gaining_heads()
    held = holds(change.verbs_present) & (pl.col("change") == "gained")
    pairs, listed = change.pairs.filter(held), gaining.head(LISTED_HEADS).to_dicts()
    headline = f"{gaining.height} of {change.heads.height} heads gained pairs with {change.verbs_name}"
    most = f", most of all {'; '.join(_head(row, pairs) for row in listed)}" if listed else ""
    links = tuple(
        Link(f"Layer {row['layer']}, head {row['head']}", f"head-{row['layer']}-{row['head']}") for row in listed
    )
    evidence = {"n_gaining": gaining.height, "n_heads": change.heads.height}
    return Finding(GAINING, headline, f"{headline}{most}.", Verdict.NOT_TESTED, evidence, links)


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
