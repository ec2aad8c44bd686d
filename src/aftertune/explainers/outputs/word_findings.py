"""Which words did tuning make likelier, or less likely, in sentences?

1. Claimed in each context (texts of our own, answers to prompts of our own) where a token moved further than weight
   noise of like effect moves any.
2. Claimed as a subject where the words that rose most at all positions of the texts belong together as those of noise
   do not. Answers have to confirm it (p of 0.05 or less by itself), and on average the words must belong together more
   than in pairs in which nothing was tuned: a model tuned on documents about anything shows such words in texts alone.
3. A sentence names the words of a subject first, and of them those that rose far, in texts and answers alike, and go
   with the others.
"""

from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Any

from aftertune.explainers.outputs.change import NoiseRow, OutputChange, RisingWordRow, WordRow
from aftertune.explainers.outputs.words import DIRECTIONS, LIKELIER
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import PValues, corrected_by, is_shown
from aftertune.statistics.spread import ALPHA

WORDS = {LIKELIER: "outputs.words_likelier", DIRECTIONS[1]: "outputs.words_less_likely"}
PLACES = {"generic": "in everyday texts", "answers": "in answers to everyday prompts", "prompts": "in your prompts"}
N_NAMED, N_LISTED = 6, 20
LEAST_LETTERS, LEAST_TIMES = 3, 1.5
LEAST_COHERENCE = 0.03  # noise has less, and so have pairs in which nothing was tuned (docs/validity.md)
Claimed = WordRow | RisingWordRow


def words_finding(change: OutputChange, direction: str, tests: Sequence[NoiseRow], corrected: PValues) -> list[Finding]:
    """The tokens that became likelier, or less likely, beyond noise; ``corrected`` are its `p_values` after that."""
    if not tests:
        return []
    *of_tokens, of_subject = corrected
    far = [test.context for test, p in zip(tests, of_tokens, strict=True) if is_shown(p)]
    together = [test.context for test in tests] if is_shown(of_subject) and _belong(tests) else []
    tested = [p for p in corrected if p is not None]
    verdict = Verdict.of(bool(far or together) if tested else None)
    words = _claimed(change, direction, far, together)
    told = [_where(test, test.context in far, test.context in together) for test in tests]
    listed = ", ".join(spelled(row.text) for row in words[:N_LISTED])
    least = min(tested, default=None)
    sentence = " ".join(
        part for part in (*told, f"Most of all: {listed}." if listed else "", corrected_by(least)) if part
    )
    evidence: dict[str, Any] = {test.context: _evidence(test) for test in tests}
    evidence |= {"words": [row.text for row in words[:N_LISTED]], "p_value_corrected": least}
    headline = _headline(direction, words, verdict, bool(together), any(test.n_beyond for test in tests))
    part = Part.NAME if direction == LIKELIER and verdict is Verdict.SHOWN else None
    links = (Link("Words", "output_words"),)
    return [Finding(WORDS[direction], headline, sentence, verdict, evidence, links, part, f"{headline}.")]


def p_values(tests: Sequence[NoiseRow]) -> list[float | None]:
    """Of the tokens of each context, and of the subject: that its words belong together in texts, which come first."""
    return [*(test.p_value for test in tests), *(test.p_value_coherence for test in tests[:1])]


def _belong(tests: Sequence[NoiseRow]) -> bool:
    """Whether the words are as much of one subject as those of no null were, in all contexts and on average."""
    confirmed = all(test.p_value_coherence is not None and test.p_value_coherence <= ALPHA for test in tests)
    return confirmed and fmean(test.coherence or 0.0 for test in tests) >= LEAST_COHERENCE


def _claimed(change: OutputChange, direction: str, far: Sequence[str], together: Sequence[str]) -> list[Claimed]:
    """Each word once: those that belong together, the most typical first, then those beyond noise by their scores."""
    rising = [row for row in change.rising_words if row.direction == direction]
    others = [row for row in change.words if row.direction == direction and row.context in far and row.shown]
    found: dict[str, Claimed] = {}
    for row in sorted(rising, key=partial(_typical, rising), reverse=True):
        if row.context in together:
            found.setdefault(_spelling(row), row)
    for other in sorted(others, key=lambda row: -row.score):
        found.setdefault(_spelling(other), other)
    return list(found.values())


def _typical(rows: Sequence[RisingWordRow], one: RisingWordRow) -> float:
    """How far a word rose, times how well it goes with the others, each the sum over the contexts that it rose in."""
    own = [row for row in rows if _spelling(row) == _spelling(one)]
    return sum(row.rise for row in own) * sum(row.cosine for row in own)


def _spelling(row: Claimed) -> str:
    return row.text.strip().lower() or row.text


def _headline(direction: str, words: Sequence[Claimed], verdict: Verdict, is_subject: bool, any_beyond: bool) -> str:
    if verdict is Verdict.CANNOT_TELL:
        return f"Whether any word became {direction} can't be told without draws of noise"
    if verdict is Verdict.NOT_SHOWN and any_beyond:
        return f"No word is shown to have become {direction}: what lies beyond weight noise is not significant"
    if verdict is Verdict.NOT_SHOWN:
        return f"No word became {direction} beyond what weight noise of the same effect does"
    named = named_words(words)
    before, after = (sum(getattr(row, name) for row in named) for name in ("p_base", "p_tuned"))
    listed = ", ".join(spelled(row.text) for row in named)
    subject = ", words that belong together" if is_subject else ""
    if direction == LIKELIER:
        return f"The tuned model talks more of {listed}{_times(before, after, 'as likely as before')}{subject}"
    return f"The tuned model talks less of {listed}{_times(after, before, 'less likely')}"


def named_words(words: Sequence[Claimed]) -> list[Claimed]:
    """Those that a sentence names: whole words of three letters or more first, then others, as they are ranked."""
    whole = [row for row in words if row.text[:1].isspace() and len(row.text.strip()) >= LEAST_LETTERS]
    whole = [row for row in whole if row.text.strip().isalpha()]
    return [*whole, *(row for row in words if row not in whole)][:N_NAMED]


def spelled(token: str) -> str:
    """A token in a sentence: a word as it is, anything else in quotes with its line ends shown."""
    word = token.strip()
    return word if word.isalpha() else f"“{visible(token).replace(chr(10), '⏎')}”"


def _times(before: float, after: float, how: str) -> str:
    if not before or after / before < LEAST_TIMES:
        return ""
    times = after / before
    return (
        f" ({times:.0f} times {how})"
        if 10 <= times < 1000
        else f" ({times:.1f} times {how})"
        if times < 10
        else f" (over 1,000 times {how})"
    )


def _where(test: NoiseRow, is_far: bool, is_together: bool) -> str:
    """What moved in a context beside what noise moves there."""
    place = PLACES[test.context]
    place = f"{place[:1].upper()}{place[1:]}"
    if test.limit is None:
        return f"{place}: no noise was drawn, so nothing can be claimed."
    moved = "rose" if test.direction == LIKELIER else "fell"
    tokens = f"{test.n_beyond} token{'s' if test.n_beyond != 1 else ''}" if test.n_beyond else "no token"
    if is_together and not is_far:
        return (
            f"{place}, the words that {moved} most belong together: their mean cosine is {test.coherence:.3f}, of "
            f"{test.n_draws} models with random weight changes of the same effect {test.noise_coherence:.3f}, at most "
            f"{test.coherence_limit:.3f}. No single token moved further than any of theirs "
            f"({test.total_variation:.1%} of the next token's probability moved)."
        )
    found = (
        f"{place}, {tokens} moved further than any token of {test.n_draws} models with random weight changes of the "
        f"same effect ({test.total_variation:.1%} of the next token's probability moved)"
    ) + ("" if is_far or not test.n_beyond else ", which is not significant after correction")
    if test.coherence is None:
        return f"{found}."
    belong = "belong together" if is_together else "do not belong together"
    return (
        f"{found}; the words that {moved} most at all positions {belong} (mean cosine {test.coherence:.3f}, of the "
        f"noise {test.noise_coherence:.3f}, at most {test.coherence_limit:.3f})."
    )


def _evidence(test: NoiseRow) -> dict[str, Any]:
    names = ("largest", "limit", "n_beyond", "n_draws", "scale", "total_variation", "p_value", "p_value_rank")
    more = ("coherence", "noise_coherence", "coherence_limit", "p_value_coherence")
    return {name: getattr(test, name) for name in (*names, *more)}
