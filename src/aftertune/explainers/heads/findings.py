"""What does the comparison of heads show, in sentences?

1. Figure 2: a change is claimed only where it exceeds that of noise of the same size and that of lists with arbitrary
   word vectors (every control), tested and corrected for all that the report asks (`questions`). Where it does not, it
   may be what any change of weights does, or the neurons respond to other words; whether other words belong together
   is then not shown. Without noise nothing is claimed.
2. The trend with depth: described, beside that of noise.
3. Table 3 (`word_findings`).
4. The word pairs gained that changed most over noise: described, not tested.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from aftertune.explainers.heads.change import (
    NEURON_LEVEL,
    DepthControl,
    DepthTrend,
    Figure2Row,
    HeadChange,
    StrengthRow,
)
from aftertune.explainers.heads.verb_findings import word_question
from aftertune.statistics.finding import Finding, Link, Verdict
from aftertune.statistics.noise import NOISE
from aftertune.statistics.questions import NEVER, Question, corrected_by, described, is_shown, largest
from aftertune.statistics.spread import Interval

DISTANCE, DEPTH, STRENGTHS = "heads.distance", "heads.depth", "heads.strengths"
UNCHANGED, NO_PAIRS = "heads.unchanged", "heads.no_pairs"
LISTED_PAIRS = 5
COMPARED = {
    Verdict.SHOWN: ", more than in every control",
    Verdict.NOT_SHOWN: ", no more than in the controls",
    Verdict.CANNOT_TELL: "",
}
MEANING = {
    Verdict.SHOWN: "Tuning changed which words belong together, not only which words the neurons respond to.",
    Verdict.NOT_SHOWN: (
        "No change in which words belong together was found: noise of the same size, or lists made with arbitrary word "
        "vectors, did not change significantly less."
    ),
    Verdict.CANNOT_TELL: (
        "There is no noise of the same size, or there are too few control lists, to tell whether these would change "
        "less."
    ),
}


def questions(change: HeadChange) -> list[Question]:
    """What a report asks of heads, how much changed first."""
    (head, controls), (neuron, _) = change.pooled_distance(), change.pooled_distance(NEURON_LEVEL)
    if head.distance.mean is None and neuron.distance.mean is None:
        return [described([_without_pairs(change)])]
    if not head.distance.mean and not neuron.distance.mean:
        return [described([_unchanged(change)])]
    has_noise = any(control.lists == NOISE for control in controls)
    beyond = largest(*map(_exceeds, controls)) if has_noise else None
    return [
        Question([beyond], lambda p: [_distance(change, p[0])]),
        word_question(change),
        described([*_depth(change.depth), *_strengths(change)]),
    ]


def _exceeds(control: Figure2Row) -> float | None:
    """The p-value that the lists changed more than those of a control; that of noise is two-sided."""
    is_less = control.lists == NOISE and (control.excess or 0.0) <= 0 and control.excess_p_value is not None
    return NEVER if is_less else control.excess_p_value


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
    return f"With {_named(control.lists)} it is {_percent(control.distance.mean)}{excess}."


def _named(lists: str) -> str:
    """A control in a sentence."""
    return lists if lists == NOISE else f"{lists} word vectors"


def _depth(trend: DepthTrend) -> Iterator[Finding]:
    """Do deeper heads change more?  Beside noise, and not tested: neighbouring layers are alike."""
    if trend.correlation is None:
        return
    noise = next((one for one in trend.controls if one.control == NOISE), None)
    beside = f", with noise of the same size {_signed(noise.correlation)}" if noise else ""
    parts = [
        f"Over {trend.n_heads:,} heads in {trend.n_layers} layers, layer and distance have a rank correlation of "
        f"{trend.correlation:+.2f}.",
        *map(_control_trend, trend.controls),
        "Neighbouring layers are alike, so this is no test.",
    ]
    controls = {one.control: _excess_trend(one) for one in trend.controls}
    evidence = {"n_heads": trend.n_heads, "correlation": trend.correlation, "controls": controls}
    headline = f"Heads: rank correlation of depth and change {trend.correlation:+.2f}{beside}"
    yield Finding(DEPTH, headline, " ".join(part for part in parts if part), Verdict.NOT_TESTED, evidence)


def _excess_trend(control: DepthControl) -> dict[str, Any]:
    return {"correlation": control.correlation, "excess_correlation": control.excess_correlation}


def _control_trend(control: DepthControl) -> str:
    if control.correlation is None:
        return ""
    return (
        f"With {_named(control.control)} it is {control.correlation:+.2f}, for what is in excess of it "
        f"{_signed(control.excess_correlation)}."
    )


def _signed(value: float | None) -> str:
    return "not defined" if value is None else f"{value:+.2f}"


def _strengths(change: HeadChange) -> Iterator[Finding]:
    """The word pairs gained to which heads respond most differently, over noise."""
    gained = [row for row in change.strengths if row.change == "gained" and row.times_noise is not None]
    if not gained:
        return
    first = gained[:LISTED_PAIRS]
    told = "; ".join(f"{_pair(row)} (layer {row.layer}, head {row.head}: {row.times_noise:+.1f})" for row in first)
    places = dict.fromkeys((row.layer, row.head) for row in first)
    links = tuple(Link(f"Layer {layer}, head {head}", f"head-{layer}-{head}") for layer, head in places)
    evidence = {"n_gained": len(gained), "pairs": [[row.query_word, row.key_word] for row in first]}
    yield Finding(
        STRENGTHS,
        f"Heads: the word pairs gained that changed most over noise are {', '.join(map(_pair, first))}",
        f"In units of what noise of the same size changes in the head's pairs: {told}. Not tested.",
        Verdict.NOT_TESTED,
        evidence | {"times_noise": [row.times_noise for row in first]},
        links,
    )


def _pair(row: StrengthRow) -> str:
    return f"{row.query_word} → {row.key_word}"


def _percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1%}"


def _between(interval: Interval | None) -> str:
    return f" [{interval[0]:.1%}, {interval[1]:.1%}]" if interval else ""


def _points(share: float | None, interval: Interval | None) -> str:
    if share is None:
        return ""
    between = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
    return f"{100 * share:+.1f} points{between}"
