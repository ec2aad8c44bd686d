"""What does the location of a change show, in sentences?

1. Where: the fewest neighbouring layers of one kind that bring half of the change. Claimed where the interval of what
   they bring excludes 0, by a permutation test of the signs of prompts, against nothing and against weight noise.
2. Whether the shares of single modules add up. Described.
3. Of the heads and directions that were named, those that a swap confirms (`named.findings`).
4. How large the change of the weights is, and of which rank. Described.
"""

from collections.abc import Sequence
from dataclasses import asdict

from aftertune.explainers.location.change import LocationChange
from aftertune.explainers.location.named.findings import named_questions
from aftertune.explainers.location.result import KINDS
from aftertune.explainers.location.rows import Claim, CumulativeRow, Total
from aftertune.explainers.location.stretch import HALF
from aftertune.explainers.location.where import per_cent, percent
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import Question, corrected_by, described, is_shown
from aftertune.statistics.spread import ALPHA, Interval
from aftertune.statistics.tests import least_p_value

SAME, WHERE, RANK = "location.same_weights", "location.where", "location.rank"
NOT_ADDITIVE, SIZE = "location.not_additive", "location.size"
ADDS_UP = (0.8, 1.25)
NEEDED = 0.5  # of what a stretch brings, taken away by taking it out
LOW_RANK = 0.5  # of the squared change in five singular values
AS_NOISE = 2.0  # times the share that noise has there


def questions(change: LocationChange) -> list[Question]:
    """What a report asks of the location of a change."""
    if change.is_same_weights:
        return [described([_same(change)])]
    rest = [_size(change), *_rank(change)]
    return [_where(change), *named_questions(change.named), described([*_additivity(change), *rest])]


def _same(change: LocationChange) -> Finding:
    sentence = (
        f"{change.base} and {change.tuned} have the same {change.total.n_weights:,} weights; nothing was swapped."
    )
    return Finding(SAME, "Location: no weight differs", sentence, Verdict.NOT_TESTED, {"n_changed": 0})


def _where(change: LocationChange) -> Question:
    total, claim = change.total, change.claim
    if not total.n_texts:
        return described([_unknown(f"No prompt has an answer to measure. {left_out(total)}.")])
    if total.log_ratio is None or total.log_ratio <= 0:
        reason = f"{change.tuned}'s own answers are no likelier under it than under {change.base}"
        return described([_unknown(f"{reason}, so there is no change to share out.")])
    if claim is None:
        return described([_nowhere(change)])
    if least_p_value(total.n_texts) >= ALPHA:
        return described([_located(change, claim, Verdict.CANNOT_TELL, None)])
    if not _is_above(claim.stretch.brings_interval) or not _is_above(total.log_ratio_interval):
        return described([_located(change, claim, Verdict.NOT_TESTED, None)])
    return Question([claim.p_value], lambda p: [_located(change, claim, Verdict.of(is_shown(p[0])), p[0])])


def _unknown(reason: str) -> Finding:
    return Finding(WHERE, "Location: it can't be told where the change sits", reason, Verdict.CANNOT_TELL)


def _nowhere(change: LocationChange) -> Finding:
    if not change.total.n_swapped:
        headline, why = "Location: no module was swapped by itself", ""
    else:
        headline = "Location: no few layers bring half of the change by themselves"
        why = "The single shares of no neighbouring layers add up to half of the change."
    where = change.where()
    told = where.text if where else ""
    sentence = " ".join(
        filter(None, (why, f"{told}." if told else "", _by_depth(change.cumulative), _of_texts(change.total)))
    )
    evidence = {
        **{"n_swapped": change.total.n_swapped, "sum_brings": change.total.sum_brings},
        **{"where": asdict(where) if where else None},
    }
    part = Part.PLACE if where else None
    return Finding(WHERE, headline, sentence, Verdict.NOT_TESTED, evidence, _links(), part, f"{told} (not tested).")


def _located(change: LocationChange, claim: Claim, verdict: Verdict, corrected: float | None) -> Finding:
    stretch, noise, total = claim.stretch, claim.noise, change.total
    brings = stretch.brings or 0.0
    is_needed = (stretch.takes or 0.0) >= NEEDED * brings
    where = change.where()
    name = where.name if where else claim.name
    headline = f"{per_cent(brings)}% of the change sits in {name}"
    if verdict is Verdict.NOT_SHOWN:
        headline = f"{per_cent(brings)}% of the change comes with {name}; that noise brings less is not shown"
    elif not is_needed:
        headline = f"{per_cent(brings)}% of the change comes with {name}, but other parts carry it too"
    parts = [
        f"Put into {change.base}, the tuned weights of {claim.name} bring {percent(brings, stretch.brings_interval)} "
        f"of what makes {change.tuned}'s answers likelier ({total.log_ratio:.2f} nats a token, {total.n_texts} texts).",
        f"Taken out of {change.tuned}, they take away {percent(stretch.takes, stretch.takes_interval)}"
        f"{'.' if is_needed else ': without them most of the change is still there.'}",
        f"Weight noise of the same size brings {percent(noise.brings, noise.brings_interval)}.",
        f"These weights hold {stretch.share_of_change or 0.0:.0%} of the squared change of all weights.",
        _by_depth(change.cumulative),
        _of_texts(total),
        _too_few(total.n_texts),
        corrected_by(corrected),
    ]
    evidence = {
        **{"module": stretch.module, "layers": stretch.layers},
        **{name: getattr(stretch, name) for name in ("brings", "brings_interval", "takes", "takes_interval")},
        **{"brings_divergence": stretch.brings_divergence, "takes_divergence": stretch.takes_divergence},
        **{"is_needed": is_needed, "noise_brings": noise.brings, "noise_takes": noise.takes},
        **{"noise_brings_interval": noise.brings_interval, "is_beyond_noise": stretch.is_beyond_noise},
        **{"n_empty": total.n_empty, "empty_share": total.empty_share, "n_left_out": total.n_left_out},
        **{"p_value": claim.p_value, "p_value_corrected": corrected},
    }
    clause = f"{where.text if where else headline}."
    sentence = " ".join(filter(None, parts))
    return Finding(WHERE, f"Location: {headline}", sentence, verdict, evidence, _links(), Part.PLACE, clause)


def _links() -> tuple[Link, ...]:
    return (Link("Modules", "location"),)


def left_out(total: Total) -> str:
    """How many prompts were left out, and why."""
    plural = "prompt was" if total.n_left_out == 1 else "prompts were"
    return (
        f"{total.n_left_out} {plural} left out: too long for the models' context, answered by a token that only one "
        "knows, or with logits that are not finite"
    )


def _of_texts(total: Total) -> str:
    """What is to be known of the answers: those that say nothing, and prompts without one."""
    parts = [
        f"{total.n_empty} of {total.n_texts} answers are empty, and {percent(total.empty_share, None)} of the change "
        "sits on the token that ends them."
        if total.n_empty
        else "",
        f"{left_out(total)}." if total.n_left_out else "",
    ]
    return " ".join(filter(None, parts))


def _too_few(n_texts: int) -> str:
    if least_p_value(n_texts) < ALPHA:
        return ""
    return f"Answers to {n_texts} prompts are too few to claim it; give more prompts."


def _by_depth(rows: Sequence[CumulativeRow]) -> str:
    """By which layer half of the change is there, counted from the input and from the output."""
    up_to = next((row.layer for row in rows[:-1] if (row.up_to or 0.0) >= HALF), None)
    onward = next((row.layer for row in reversed(rows[1:]) if (row.onward or 0.0) >= HALF), None)
    parts = [
        f"up to layer {up_to}" if up_to is not None else "",
        f"from layer {onward} on" if onward is not None else "",
    ]
    known = ", or ".join(part for part in parts if part)
    return f"At least half is also there with everything {known}." if known else ""


def _additivity(change: LocationChange) -> list[Finding]:
    brings, takes = change.total.sum_brings, change.total.sum_takes
    if brings is None or takes is None or ADDS_UP[0] <= brings <= ADDS_UP[1]:
        return []
    more = brings > ADDS_UP[1]
    how = "modules overlap" if more else "modules work together"
    sentence = (
        f"Put in one by one, modules bring {brings:.0%} of the change in sum; taken out one by one, they take away "
        f"{takes:.0%}. Later layers act on what earlier tuned layers write, so single shares must not be added; the "
        "cumulative shares say how much is there by each layer."
    )
    evidence = {"sum_brings": brings, "sum_takes": takes}
    return [Finding(NOT_ADDITIVE, f"Location: {how}, shares do not add up", sentence, Verdict.NOT_TESTED, evidence)]


def _size(change: LocationChange) -> Finding:
    total = change.total
    by_kind = {kind: _relative(change, kind) for kind in KINDS}
    known = {kind: size for kind, size in by_kind.items() if size is not None}
    most = max(known, key=lambda kind: known[kind])
    listed = ", ".join(f"{kind} {size:.2%}" for kind, size in known.items())
    tied = " Input and output embeddings are one tensor, counted once as embeddings." if total.tied else ""
    sentence = (
        f"{total.n_changed:,} of {total.n_weights:,} weights differ. The norm of the change over the norm of the "
        f"base's weights: {listed}.{tied}"
    )
    headline = f"Location: weights changed by {total.relative_change:.2%} of their norm, most in the {most}"
    evidence = {"relative_change": total.relative_change, "n_changed": total.n_changed, "by_module": known}
    return Finding(SIZE, headline, sentence, Verdict.NOT_TESTED, evidence)


def _relative(change: LocationChange, kind: str) -> float | None:
    rows = [row for row in change.weights.iter_rows(named=True) if row["module"] == kind]
    norm = sum(row["squared_norm"] for row in rows)
    return float((sum(row["squared_change"] for row in rows) / norm) ** 0.5) if norm else None


def _rank(change: LocationChange) -> list[Finding]:
    total = change.total
    top, noise = total.top5_share, total.noise_top5_share
    if top is None or noise is None:
        return []
    if top >= LOW_RANK:
        headline = "the change has low rank, like that of a LoRA adapter"
    elif top <= AS_NOISE * noise:
        headline = "the change is spread over all directions, as weight noise is"
    else:
        headline = "the change is spread over many directions, like full tuning"
    sentence = (
        f"In the layers, the five largest singular values of a weight's change hold {top:.0%} of its square (weight "
        f"noise of the same shapes: at most {noise:.1%}); its effective rank is {total.effective_rank:,.1f} (noise: "
        f"{total.noise_effective_rank:,.0f})."
    )
    evidence = {"top5_share": top, "noise_top5_share": noise, "effective_rank": total.effective_rank}
    return [Finding(RANK, f"Location: {headline}", sentence, Verdict.NOT_TESTED, evidence)]


def _is_above(interval: Interval | None) -> bool:
    return interval is not None and interval[0] > 0
