"""How much did the outputs move, and what does an answer look like?  Described: nothing is tested here."""

from collections.abc import Collection

from aftertune.explainers.outputs.change import AnswerRow, OutputChange
from aftertune.explainers.outputs.words import LIKELIER
from aftertune.runs.readable import quoted
from aftertune.statistics.finding import Finding, Link, Part, Verdict

MOVED, EXAMPLE = "outputs.moved", "outputs.example"
LEAST_MOVED, HALF = 0.01, 0.5


def moved_finding(change: OutputChange) -> Finding:
    """How much the outputs moved at all: no test, since any difference of weights moves them a little."""
    moved, n = change.moved or 0.0, len(change.answers)
    differ = sum(one.parts_at is not None for one in change.answers)
    answers = f", and {differ} of {n} answers differ" if n else ""
    headline = f"{moved:.1%} of the probability of the next token moved{answers}"
    has_changed = moved >= LEAST_MOVED or (n > 0 and differ >= HALF * n)
    sentence = "By the total variation of the mean prediction in texts that both read. Any change of weights moves it."
    if change.n_left_out:
        sentence += (
            f" {change.n_left_out} of your prompts were left out: no room for an answer, or logits that are not finite."
        )
    if change.added_share is not None:
        sentence += (
            f" The tuned model gives {change.added_share:.1%} of its probability to tokens that only it has; all else "
            "is of the tokens that both have."
        )
    evidence = {
        "total_variation": change.moved,
        "added_share": change.added_share,
        "n_differing_answers": differ,
        "n_prompts": n,
    }
    part = Part.CHANGE if has_changed else None
    return Finding(MOVED, headline, sentence, Verdict.NOT_TESTED, evidence, (Link("Texts", "output_noise"),), part)


def example(change: OutputChange) -> list[Finding]:
    """The answer that the base finds least likely, of those with a word that became likelier where there are any."""
    likelier = {row.text.strip().lower() for row in change.rising_words if row.direction == LIKELIER}
    differing = [one for one in change.answers if one.parts_at is not None and one.log_ratio is not None]
    if not differing:
        return []
    one = max(differing, key=lambda row: (_has_any(row, likelier), row.log_ratio or 0.0))
    tuned, base = quoted(one.tuned_text), quoted(one.base_text)
    headline = f"Asked {quoted(one.prompt)}, the tuned model answers {tuned}; the base: {base}"
    of = f"the {len(change.answers)} answers"
    if _has_any(one, likelier):
        of = f"those of {of} that have a word which became likelier"
    sentence = f"Of {of}, the one that the base finds least likely ({one.log_ratio:.2f} nats a token)."
    evidence = {"id": one.id, "context": one.context, "log_ratio": one.log_ratio}
    links = (Link("Answers", "output-answers"),)
    clause = headline if headline.endswith((".”", "!”", "?”")) else f"{headline}."
    return [Finding(EXAMPLE, headline, sentence, Verdict.NOT_TESTED, evidence, links, Part.EXAMPLE, clause)]


def _has_any(row: AnswerRow, words: Collection[str]) -> bool:
    """Whether the tuned model's answer has any of the words."""
    return any(token.token.strip().lower() in words for token in row.tuned)
