"""What can be seen in the comparison of prompts without a test?

1. How well the maps predict what replacing words does, how far they agree with removal itself (Eq. 1), and what that
   means for their reader.
2. How far the people agree who labelled the run.
3. Empty responses, which score 0: does the difference remain where both models answered?
4. Figure 6: do the ends of sentences matter most (a U shape), and in which model more?
5. Repetition: how many responses of each model mostly copy the prompt or themselves?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from aftertune.explainers.attribution.density_findings import between, where
from aftertune.explainers.attribution.difference import mean_shares
from aftertune.explainers.attribution.faithfulness import (
    FAIR,
    FOLLOWS,
    LEAST_FAITHFUL,
    FaithfulnessCheck,
    RaterRow,
    RemovalCheck,
    of_possible,
)
from aftertune.explainers.attribution.sentence_position import Figure6Row
from aftertune.statistics.agreement import GOOD, TENTATIVE
from aftertune.statistics.finding import Finding, Verdict

if TYPE_CHECKING:
    from aftertune.explainers.attribution.change import AttributionChange


UNITS = {"ratings": "responses", "instructions": "characters"}
MOST_NAMED = 5  # prompts in a sentence
ABOUT = {"ratings": "how helpful responses are", "instructions": "which words are the instruction"}


def describe_faithfulness(check: FaithfulnessCheck) -> Finding:
    """How far the maps can be read as what replacing a word would show."""
    kind = of_possible(check.spearman_mean, check.ceiling_mean)
    headline = f"Attribution maps predict what happens when a word is replaced: {kind}"
    if not check.is_faithful:
        headline = f"Attribution maps hardly predict what happens when a word is replaced: {kind}"
    spread = f" ± {check.spearman_std:.2f}" if check.spearman_std is not None else ""
    lds = "" if check.lds is None else f" When each word is left out by a toss of a coin, it is {check.lds:.2f} (LDS)."
    limit = "" if check.is_faithful else _NOTHING_CLAIMED
    sentence = (
        f"That is the rank correlation{spread} over words of the prompt with how far the log probability of each "
        f"response token falls when the word is replaced by others, on {check.n_instances} responses. Without the five "
        f"most important words it falls by {check.top_fall:.1f} nats in all, without five others by "
        f"{check.random_fall:.1f}.{lds}{limit}"
    )
    return Finding("attribution.faithfulness", headline, sentence, Verdict.NOT_TESTED, asdict(check))


_NOTHING_CLAIMED = (
    f" Below {LEAST_FAITHFUL:.0%} of what is possible nothing is claimed from maps, and they are shown pale: compare "
    "again with the method 'removal'."
)


def describe_agreement(check: RemovalCheck) -> Finding:
    """How far the maps agree with removal."""
    correlation = check.spearman_mean
    how = "agree well" if correlation >= FOLLOWS else "agree roughly" if correlation >= FAIR else "hardly agree"
    sentence = (
        f"The rank correlation over prompt tokens is {correlation:.2f} (1 is the same order, 0 is none), and both name "
        f"the same most important token for {check.top1_agreement:.0%} of response tokens. It was measured on "
        f"{_responses(check.n_instances)}, by removing every prompt token ({check.removal})."
    )
    headline = f"The maps {how} with removing tokens ({check.removal})"
    return Finding("attribution.agreement", headline, sentence, Verdict.NOT_TESTED, asdict(check))


def describe_rater(row: RaterRow) -> Finding:
    """How far to trust what people said."""
    about = ABOUT[row.what]
    who = f"({row.n_raters} raters; {row.n_units:,} {UNITS[row.what]} of {row.n_prompts} prompts judged at least twice)"
    if row.alpha is None:
        headline, sentence = (
            f"All raters gave the same answer about {about}",
            f"Agreement beyond chance is undefined {who}.",
        )
    else:
        headline = f"Raters {_how_far(row.alpha)} about {about}"
        between = f" [{row.alpha_interval[0]:.2f}, {row.alpha_interval[1]:.2f}]" if row.alpha_interval else ""
        numbers = f"Krippendorff's alpha is {row.alpha:.2f}{between}, where 1 is full agreement and 0 is chance {who}."
        sentence = f"{numbers} {_advice(row, row.alpha)}"
    return Finding("attribution.raters", headline, sentence, Verdict.NOT_TESTED, asdict(row))


def describe_difference(change: AttributionChange) -> Iterator[Finding]:
    """On what the difference between the models depends, where both read the tuned model's responses."""
    rows = change.difference_rows
    if change.n_beyond:
        yield _beyond(change)
    shares = mean_shares(rows)
    if shares is None:
        return
    instruction, other, template = shares
    headline = f"{instruction:.0%} of the difference between the models depends on the instruction"
    sentence = (
        f"Over {_responses(len(rows))} of {change.tuned}, of how far log p_tuned - log p_base falls without each token "
        f"of the prompt: the instruction's tokens hold {instruction:.0%}, what else the user wrote {other:.0%}, the "
        f"template {template:.0%}. Each prompt's map of the difference is below its maps."
    )
    evidence = {"instruction": instruction, "other": other, "template": template, "n_prompts": len(rows)}
    yield Finding("attribution.difference", headline, sentence, Verdict.NOT_TESTED, evidence)


def _beyond(change: AttributionChange) -> Finding:
    n, total = change.n_beyond, change.n_beyond + len(change.difference_rows)
    headline = f"{n} of {total} responses of {change.tuned} hold tokens that {change.base} has not"
    sentence = "The base can't read them, so they are left out of what the difference between the models depends on."
    evidence = {"n_beyond": n, "n_responses": total}
    return Finding("attribution.beyond", headline, sentence, Verdict.NOT_TESTED, evidence)


def describe_overflow(change: AttributionChange) -> Iterator[Finding]:
    """The prompts that are left out since numbers of a model are not finite."""
    if not change.overflowed:
        return
    n, total = len(change.overflowed), len(change.overflowed) + len(change.instances)
    headline = f"{n} of {total} prompts are left out: probabilities of a model overflow on them"
    which = ", ".join(repr(id) for id in change.overflowed[:MOST_NAMED])
    more = f" and {n - MOST_NAMED} more" if n > MOST_NAMED else ""
    sentence = f"With all weights finite, numbers of a model became NaN or infinite on {which}{more}. Try float32."
    evidence = {"n_overflowed": n, "n_prompts": total}
    yield Finding("attribution.overflow", headline, sentence, Verdict.NOT_TESTED, evidence)


def describe_answered(change: AttributionChange) -> Iterator[Finding]:
    """What remains of the difference of table 2 where both models answered."""
    for row in change.table2_answered:
        if row.difference is None:
            continue
        n, difference, interval = row.paired.n_pairs, row.paired.difference, row.paired.difference_interval
        headline = f"{where(row)}: where both models answered, the score differs by {difference:+.3f}"
        sentence = (
            f"An empty response scores 0 and lowers a model's mean. Over the {n} prompts that both models answered, "
            f"the mean is {row.tuned.mean:.3f} for {change.tuned} and {row.base.mean:.3f} for {change.base}, a paired "
            f"difference of {difference:+.3f}{between(interval)}."
        )
        evidence = {"dataset": row.dataset, "n_pairs": n, "difference": difference, "difference_interval": interval}
        yield Finding("attribution.answered", headline, sentence, Verdict.NOT_TESTED, evidence)


def describe_positions(change: AttributionChange) -> Iterator[Finding]:
    """Figure 6 of each data set that has both models."""
    rows = {(row.dataset, row.model): row for row in change.figure6}
    for dataset in dict.fromkeys(row.dataset for row in change.figure6):
        base, tuned = rows.get((dataset, change.base)), rows.get((dataset, change.tuned))
        if base and tuned:
            yield _position(base, tuned)


def describe_repetition(change: AttributionChange) -> Iterator[Finding]:
    """How many responses mostly copy, if any do."""
    base = [row.repetitive_base for row in change.instances if row.repetitive_base is not None]
    tuned = [row.repetitive_tuned for row in change.instances if row.repetitive_tuned is not None]
    if not sum(base) and not sum(tuned):
        return
    counts = f"{sum(tuned)} of {len(tuned)} responses of {change.tuned}, {sum(base)} of {len(base)} of {change.base}"
    sentence = (
        "At least half of the tokens of these responses stand in the prompt or earlier in the response. Copied tokens "
        "count in the score too, so compare it with the score without them (score_novel in instances.csv)."
    )
    evidence = {
        "n_base": len(base),
        "n_tuned": len(tuned),
        "repetitive_base": sum(base),
        "repetitive_tuned": sum(tuned),
        "score_novel_mean_base": _mean([row.score_novel_base for row in change.instances]),
        "score_novel_mean_tuned": _mean([row.score_novel_tuned for row in change.instances]),
    }
    yield Finding("attribution.repetition", f"Mostly copied: {counts}", sentence, Verdict.NOT_TESTED, evidence)


def _how_far(alpha: float) -> str:
    return "agree well" if alpha >= GOOD else "agree roughly" if alpha >= TENTATIVE else "agree too little"


def _advice(row: RaterRow, alpha: float) -> str:
    table = "table 1" if row.what == "ratings" else "the scores of tables 1 and 2"
    if alpha < TENTATIVE:
        return f"Do not rely on {table}: agree on what the {row.what} mean, and label again."
    if alpha < GOOD:
        return f"Conclusions from {table} are tentative."
    if row.alpha_interval is not None and row.alpha_interval[0] < TENTATIVE:
        return f"The interval reaches below {TENTATIVE}, so more labels are needed."
    return "That is enough to rely on."


def _position(base: Figure6Row, tuned: Figure6Row) -> Finding:
    curved = [row.model for row in (base, tuned) if _is_u_shaped(row)]
    shape = f"under {' and '.join(curved)}" if curved else "under neither model"
    sentence = (
        f"The first and last quarters of sentences hold {_ends(base):.1%} of the density under {base.model} and "
        f"{_ends(tuned):.1%} under {tuned.model} ({base.n} and {tuned.n} prompts); 50% would be even. The ends weigh "
        f"more under {max((base, tuned), key=_ends).model}."
    )
    evidence = {"dataset": base.dataset, "n_base": base.n, "n_tuned": tuned.n, "u_shaped": curved}
    evidence |= {"ends_share_base": _ends(base), "ends_share_tuned": _ends(tuned)}
    headline = f"{base.dataset}: the ends of sentences matter most {shape}"
    return Finding("attribution.positions", headline, sentence, Verdict.NOT_TESTED, evidence)


def _ends(row: Figure6Row) -> float:
    return row.quarters[0] + row.quarters[3]


def _is_u_shaped(row: Figure6Row) -> bool:
    first, second, third, last = row.quarters
    return min(first, last) > max(second, third)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _responses(n: int) -> str:
    return "1 response" if n == 1 else f"{n:,} responses"
