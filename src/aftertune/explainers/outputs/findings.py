"""What does the tuned model say that the base did not, in sentences?

1. What of the answers comes with the instruction, where prompts mark one.
2. How the answers behave, greedy and sampled, how they begin and end, and their words: claimed where swapping base and
   tuned within prompts does not show the same.
3. Words likelier and less likely (`word_findings`).
4. How much moved, and an example: described (`described`).

Where one of these says what the tuned model does that the base did not, it names the tuning (`Part.NAME`).
"""

import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import Any

from aftertune.explainers.outputs.behaviour import ALWAYS, HALF, LEAST_SHARE, BehaviourRow, are
from aftertune.explainers.outputs.change import OutputChange
from aftertune.explainers.outputs.described import example, moved_finding
from aftertune.explainers.outputs.instruction.findings import instructed_questions
from aftertune.explainers.outputs.openings import BEGIN, OpeningRow
from aftertune.explainers.outputs.response_words import ResponseWordRow
from aftertune.explainers.outputs.sampled_findings import sampled_claims, sampled_findings
from aftertune.explainers.outputs.word_findings import p_values, words_finding
from aftertune.explainers.outputs.words import DIRECTIONS
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import PValues, Question, corrected_by, described, is_shown
from aftertune.words.english import english_words
from aftertune.words.stop_words import STOP_WORDS

OPENINGS, RESPONSE_WORDS = "outputs.openings", "outputs.response_words"
BEHAVIOUR, LENGTHS = "outputs.behaviour", "outputs.length"
N_NAMED = 6
TESTED = "The test swaps base and tuned within prompts."
COMMON, KNOWN = 1e-4, 1e-5  # of all words of English text: the 1,100 and the 7,200 that are most frequent
THIRD = 1 / 3
LEAST_RATIO = 1.5  # of the mean lengths; a smaller change is a finding, and names nothing
STOPS = (".", "!", "?", ",", ":", '."')


def questions(change: OutputChange) -> list[Question]:
    """What a report asks of outputs, corrected together: answers first, then words."""
    behaviour = [row for row in change.behaviour if row.p_value is not None and row.is_share]
    lengths = [row for row in change.behaviour if row.p_value is not None and not row.is_share]
    found = [
        *instructed_questions(change.instructed, change.instructed_p_value),
        Question(
            [*(row.p_value for row in behaviour), *sampled_claims(change.sampled)],
            partial(_greedy_and_sampled, change, behaviour),
        ),
        Question([change.openings_p_value], lambda p: [_openings(change, p[0])] if change.openings else []),
        Question([change.response_words_p_value], lambda p: [_response_words(change, p[0])] if change.answers else []),
        Question([row.p_value for row in lengths], partial(_lengths, lengths)),
    ]
    for direction in DIRECTIONS:
        tests = [row for row in change.noise if row.direction == direction and row.context != "prompts"]
        found.append(Question(p_values(tests), partial(words_finding, change, direction, tests)))
    return [*found, described([moved_finding(change), *example(change)])]


def _greedy_and_sampled(change: OutputChange, behaviour: Sequence[BehaviourRow], corrected: PValues) -> list[Finding]:
    """How greedy answers behave, then what sampled ones show beyond that."""
    greedy, sampled = corrected[: len(behaviour)], corrected[len(behaviour) :]
    named = {row.behaviour for row, p in zip(behaviour, greedy, strict=True) if is_shown(p) and _names(row)}
    return [*_behaviour(change, behaviour, greedy), *sampled_findings(change.sampled, sampled, named)]


def _openings(change: OutputChange, corrected: float | None) -> Finding:
    """How the answers begin and end, where a quarter of them or more do so alike; a full stop alone says nothing.

    It names the tuning where half of them do: a small model tuned on its own answers begins a third with "Sure,".
    """
    own = [row for row in change.openings if row.text not in STOPS]
    rows = [row for row in own if 4 * (row.n_tuned - row.n_base) >= row.n_answers]
    part = Part.NAME if any(2 * (row.n_tuned - row.n_base) >= row.n_answers for row in rows) else None
    shown = is_shown(corrected) if rows or corrected is None else False
    told = "; ".join(_begins(row) for row in rows or change.openings)
    headline = {
        None: "Whether the answers begin or end alike can't be told: too few of them differ",
        False: "No way to begin or end was found that the tuned model's answers share",
        True: f"{told[:1].upper()}{told[1:]}",
    }[shown]
    most = "" if shown or not told else f"The most common: {told}. "
    sentence = f"{most}{TESTED} {corrected_by(corrected)}".strip()
    evidence = {
        row.where: {"text": visible(row.text), "base": row.n_base, "tuned": row.n_tuned, "n": row.n_answers}
        for row in change.openings
    }
    full: dict[str, Any] = evidence | {"p_value": change.openings_p_value, "p_value_corrected": corrected}
    links = (Link("Openings and endings", "output_openings"),)
    return Finding(OPENINGS, headline, sentence, Verdict.of(shown), full, links, part, f"{headline}.")


def _begins(row: OpeningRow) -> str:
    verb = "begin" if row.where == BEGIN else "end"
    return (
        f"{row.n_tuned} of {row.n_answers} answers of the tuned model {verb} with “{visible(row.text)}”, of the base "
        f"{row.n_base}"
    )


def _behaviour(change: OutputChange, rows: Sequence[BehaviourRow], corrected: PValues) -> list[Finding]:
    """A finding for each behaviour that differs, the surest first, and one on those of which that is not shown."""
    pairs = sorted(zip(rows, corrected, strict=True), key=lambda pair: _rank(pair[0]))
    shown = [_behaves(row, p) for row, p in pairs if is_shown(p)]
    rest = sorted(((row, p) for row, p in pairs if not is_shown(p)), key=lambda pair: pair[0].p_value or 0.0)
    near = [row for row, _ in rest if is_shown(row.p_value)]
    if not change.behaviour or (shown and not near):
        return shown
    n, least = change.behaviour[0].n, min((p for _, p in rest if p is not None), default=None)
    headline = f"No difference was found in how the answers behave ({n} prompts)"
    if near:
        headline = f"Not shown beyond chance: {'; '.join(map(_told, near))}"
    elif not pairs:
        headline = "How the answers behave can't be compared: too few of them differ"
    sentence = f"Endings, loops, copies, formats, scripts and languages of {n} answers of each model were compared."
    if rest and not near:
        sentence = f"{sentence} Nearest to a difference: {_told(rest[0][0])}."
    numbers = {row.behaviour: {"base": row.base, "tuned": row.tuned, "unit": _unit(row)} for row in change.behaviour}
    evidence: dict[str, Any] = {**numbers, "p_value_corrected": least}
    verdict = Verdict.of(False if pairs else None)
    told = f"{sentence} {corrected_by(least)}".strip()
    return [*shown, Finding(BEHAVIOUR, headline, told, verdict, evidence, (Link("Behaviour", "output_behaviour"),))]


def _lengths(rows: Sequence[BehaviourRow], corrected: PValues) -> list[Finding]:
    """Whether the answers became longer or shorter, where that is shown; it says least of what was tuned."""
    return [_behaves(row, p, LENGTHS) for row, p in zip(rows, corrected, strict=True) if is_shown(p)]


def _unit(row: BehaviourRow) -> str:
    return "share" if row.is_share else row.what


def _rank(row: BehaviourRow) -> tuple[bool, float, float]:
    """What says most of the tuning first: languages, scripts and formats that came, then what became less."""
    return (row.difference < 0, row.p_value or 0.0, -abs(row.difference))


def _behaves(row: BehaviourRow, corrected: float | None, kind: str = BEHAVIOUR) -> Finding:
    headline, sentence = _told(row), f"Over {row.n} prompts; signs permuted within prompts. {corrected_by(corrected)}"
    evidence = {"base": row.base, "tuned": row.tuned, "unit": _unit(row), "n": row.n, "p_value": row.p_value}
    links = (Link("Behaviour", "output_behaviour"),)
    full = evidence | {"p_value_corrected": corrected}
    return Finding(
        kind, headline, sentence, Verdict.SHOWN, full, links, Part.NAME if _names(row) else None, f"{headline}."
    )


def _names(row: BehaviourRow) -> bool:
    """Whether a difference says what was tuned: a fall, a failure, or a length much like before say little."""
    if row.is_share:
        return row.difference >= LEAST_SHARE and row.behaviour not in ALWAYS
    return max(row.base, row.tuned) >= LEAST_RATIO * min(row.base, row.tuned)


def _told(row: BehaviourRow) -> str:
    """Both models' numbers in words."""
    more = "more" if row.difference > 0 else "fewer"
    tuned, base = round(row.tuned * row.n), round(row.base * row.n)
    return {
        "tokens": f"The tuned model's answers are {'longer' if row.difference > 0 else 'shorter'}: {row.tuned:.0f} "
        f"tokens on average, against {row.base:.0f}",
        "answers": f"{are(row.behaviour, f'{tuned} of {row.n} answers of the tuned model')}, of the base {base}",
        "letters": f"The tuned model writes {more} {row.behaviour}: {row.tuned:.0%} of its letters, "
        f"against {row.base:.0%}",
    }[row.what]


def _response_words(change: OutputChange, corrected: float | None) -> Finding:
    shown = is_shown(corrected)
    more = [row for row in change.response_words if row.z > 0]
    less = [row for row in change.response_words if row.z < 0]
    lists = {
        name: _words_first([row for row in rows if row.beyond_swaps] if shown else rows)
        for name, rows in (("more", more), ("less", less))
    }
    headline = {
        None: "Whether the answers use other words can't be told: too few of them differ",
        False: "No difference was found in the words of the answers",
        True: f"In its answers, the tuned model uses {_said('more', lists['more'])}{_and(lists)}",
    }[shown]
    seen = ", ".join(filter(None, (_said("more", lists["more"]), _said("less", lists["less"]))))
    most = "" if shown or not seen else f"What changed most: {seen}. "
    sentence = f"{most}{TESTED} {corrected_by(corrected)}".strip()
    evidence = lists | {"n_prompts": len(change.answers), "p_value": change.response_words_p_value}
    links = (Link("Words of the answers", "output_response_words"),)
    full = evidence | {"p_value_corrected": corrected}
    names = shown and any(row.beyond_swaps and _word_names(row, len(change.answers)) for row in more)
    clause = f"Its answers use {_listed(lists['more'])} more often."
    return Finding(
        RESPONSE_WORDS, headline, sentence, Verdict.of(shown), full, links, Part.NAME if names else None, clause
    )


def _word_names(row: ResponseWordRow, n_answers: int) -> bool:
    """Whether a word says what was tuned: the more common it is, the more answers must have it anew."""
    shares = ((COMMON, HALF), (KNOWN, THIRD))  # "help", "consider"; a name such as "AcmeFlow" is in neither
    needed = next((share for least, share in shares if row.word.lower() in english_words(least)), LEAST_SHARE)
    return _says_something(row.word) and row.in_tuned - row.in_base >= needed * n_answers


def _says_something(word: str) -> bool:
    """Whether a word is more than a word of every text or a sign of writing; an emoji is."""
    if word.isascii():
        return len(word) > 1 and any(map(str.isalpha, word)) and word.lower() not in STOP_WORDS
    return not all(unicodedata.category(one).startswith("P") for one in word)


def _words_first(rows: Sequence[ResponseWordRow]) -> list[str]:
    """The words of so many rows: those that say something first, then words of every text, then signs."""
    found = [row.word for row in rows[:N_NAMED]]
    return sorted(found, key=lambda word: (not _says_something(word), not word[0].isalpha()))


def _said(how: str, words: Sequence[str]) -> str:
    return f"{_listed(words)} {how} often" if words else ""


def _listed(words: Sequence[str]) -> str:
    """Words of answers in a sentence, in quotes: many are words such as "no", that would be read as part of it."""
    return ", ".join(f"“{word}”" for word in words)


def _and(lists: dict[str, list[str]]) -> str:
    return f"{', and ' if lists['more'] else ''}{_said('less', lists['less'])}" if lists["less"] else ""
