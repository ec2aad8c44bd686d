"""What does the tuned model say that the base did not, in sentences?

1. Words likelier and less likely: claimed in each context (texts of our own, answers to prompts of our own) only beyond
   weight noise of like effect.
2. Words and behaviour of the answers: claimed where swapping base and tuned within prompts does not show the same.
3. Where nothing of this is shown, one finding says so.
4. What answers begin with: described, not tested.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from aftertune.explainers.outputs.behaviour import BehaviourRow
from aftertune.explainers.outputs.change import NoiseRow, OutputChange, WordRow
from aftertune.explainers.outputs.words import DIRECTIONS, LIKELIER
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Verdict
from aftertune.statistics.questions import PValues, Question, corrected_by, described, is_shown

SAME_WEIGHTS, NO_CHANGE = "outputs.same_weights", "outputs.no_change"
WORDS = {LIKELIER: "outputs.words_likelier", DIRECTIONS[1]: "outputs.words_less_likely"}
RESPONSE_WORDS, BEHAVIOUR, FIRST_TOKEN = "outputs.response_words", "outputs.behaviour", "outputs.first_token"
PLACES = {"generic": "in everyday texts", "answers": "in answers to everyday prompts", "prompts": "in your prompts"}
N_NAMED = 5
LEAST_LETTERS = 3
LEAST_TIMES = 1.5


def questions(change: OutputChange) -> list[Question]:
    """What a report asks of outputs, corrected together: words first, then answers."""
    if change.is_same_weights:
        return [described([_same_weights(change)])]
    tests = [test for direction in DIRECTIONS for test in _tests(change, direction)]
    behaviour = [row for row in change.behaviour if row.p_value is not None]
    p_values = [
        *(test.p_value for test in tests),
        change.response_words_p_value,
        *(row.p_value for row in behaviour),
    ]
    return [Question(p_values, partial(_tell, change)), *_described(change)]


def _tell(change: OutputChange, corrected: PValues) -> list[Finding]:
    """All findings that are tested, from the corrected p-values in the order of `questions`."""
    rest, found = list(corrected), []
    for direction in DIRECTIONS:
        tests = _tests(change, direction)
        own, rest = rest[: len(tests)], rest[len(tests) :]
        found += [_words(change, direction, tests, own)] if tests else []
    found += [_response_words(change, rest[0]), *_behaviour(change, rest[1:])]
    if any(one.verdict is Verdict.SHOWN for one in found):
        return found
    if any(one.verdict is Verdict.CANNOT_TELL for one in found if one.kind in WORDS.values()):
        return found
    return [_no_change(change, found)]


def _tests(change: OutputChange, direction: str) -> list[NoiseRow]:
    """The tests of a direction; the user's prompts are described only."""
    return [row for row in change.noise if row.direction == direction and row.context != "prompts"]


def _words(change: OutputChange, direction: str, tests: Sequence[NoiseRow], corrected: PValues) -> Finding:
    """The tokens that became likelier, or less likely, beyond noise."""
    claimed = tuple(test.context for test, p in zip(tests, corrected, strict=True) if is_shown(p))
    tested = [p for p in corrected if p is not None]
    verdict = Verdict.of(bool(claimed) if tested else None)
    words = _distinct(change.shown(direction, claimed))
    sentence = " ".join(
        part for part in (_where(tests, claimed, words), corrected_by(min(tested, default=None))) if part
    )
    evidence: dict[str, Any] = {test.context: _evidence(test) for test in tests}
    evidence |= {"words": [row.text for row in words[:20]], "p_value_corrected": min(tested, default=None)}
    headline = _headline(direction, words, verdict)
    return Finding(WORDS[direction], headline, sentence, verdict, evidence, (Link("Words", "output_words"),))


def _headline(direction: str, words: Sequence[WordRow], verdict: Verdict) -> str:
    if verdict is Verdict.CANNOT_TELL:
        return f"Whether any word became {direction} can't be told without draws of noise"
    if verdict is Verdict.NOT_SHOWN:
        return f"No word became {direction} beyond what noise of the same size does"
    named = named_words(words)
    before, after = (sum(getattr(row, name) for row in named) for name in ("p_base", "p_tuned"))
    times = _times(before, after) if direction == LIKELIER else _times(after, before)
    listed = ", ".join(spelled(row.text) for row in named)
    if direction == LIKELIER:
        return f"The tuned model talks much more of {listed}{f' ({times} as likely)' if times else ''}"
    return f"The tuned model talks much less of {listed}{f' (the base: {times} as likely)' if times else ''}"


def named_words(words: Sequence[WordRow]) -> list[WordRow]:
    """Those that a sentence names: whole words of three letters or more first, then others, as they are ranked."""
    whole = [row for row in words if row.text[:1].isspace() and len(row.text.strip()) >= LEAST_LETTERS]
    whole = [row for row in whole if row.text.strip().isalpha()]
    return [*whole, *(row for row in words if row not in whole)][:N_NAMED]


def spelled(token: str) -> str:
    """A token in a sentence: a word as it is, anything else in quotes with its line ends shown."""
    word = token.strip()
    return word if word.isalpha() else f"“{visible(token).replace(chr(10), '⏎')}”"


def _distinct(words: Sequence[WordRow]) -> list[WordRow]:
    """Each word once, however it is written and in whichever context, the largest score first."""
    found: dict[str, WordRow] = {}
    for row in sorted(words, key=lambda one: -one.score):
        found.setdefault(row.text.strip().lower() or row.text, row)
    return list(found.values())


def _times(before: float, after: float) -> str:
    if not before or after / before < LEAST_TIMES:
        return ""
    times = after / before
    return f"{times:.0f} times" if times < 1000 else "over 1,000 times"


def _where(tests: Sequence[NoiseRow], claimed: Sequence[str], words: Sequence[WordRow]) -> str:
    """How many tokens, in which texts, and what noise does there."""
    parts = []
    for test in tests:
        if test.limit is None:
            parts.append(f"{_place(test.context)}: no noise was drawn, so nothing can be claimed.")
            continue
        told = f"{test.n_shown} token{'s' if test.n_shown != 1 else ''}" if test.context in claimed else "no token"
        parts.append(
            f"{_place(test.context)}, {told} moved further than any token of {test.n_draws} models with random weight "
            f"changes of the same effect ({test.total_variation:.1%} of the next token's probability moved)."
        )
    more = ", ".join(spelled(row.text) for row in words[:20])
    return " ".join([*parts, f"Most of all: {more}." if more else ""]).strip()


def _place(context: str) -> str:
    return PLACES[context][:1].upper() + PLACES[context][1:]


def _evidence(test: NoiseRow) -> dict[str, Any]:
    names = ("largest", "limit", "n_shown", "n_draws", "scale", "total_variation", "p_value", "p_value_rank")
    return {name: getattr(test, name) for name in names}


def _response_words(change: OutputChange, corrected: float | None) -> Finding:
    shown = is_shown(corrected)
    more = [row for row in change.response_words if row.z > 0][:N_NAMED]
    fewer = [row for row in change.response_words if row.z < 0][:N_NAMED]
    lists = {"more": [row.word for row in more], "less": [row.word for row in fewer]}
    headline = {
        None: "Whether the answers use other words can't be told: too few of them differ",
        False: "No difference was found in the words of the answers",
        True: f"In its answers, the tuned model uses {_said('more', lists['more'])}{_and(lists)}",
    }[shown]
    sentence = (
        f"Over {len(change.answers)} prompts, the words whose use changed most are {', '.join(lists['more']) or 'none'}"
        f" (more) and {', '.join(lists['less']) or 'none'} (less); base and tuned were swapped within prompts as the "
        f"test. {corrected_by(corrected)}"
    )
    evidence = lists | {"n_prompts": len(change.answers), "p_value": change.response_words_p_value}
    links = (Link("Words of the answers", "output_response_words"),)
    full = evidence | {"p_value_corrected": corrected}
    return Finding(RESPONSE_WORDS, headline, sentence.strip(), Verdict.of(shown), full, links)


def _said(how: str, words: Sequence[str]) -> str:
    return f"{', '.join(words)} {how} often" if words else ""


def _and(lists: dict[str, list[str]]) -> str:
    return f"{', and ' if lists['more'] else ''}{_said('less', lists['less'])}" if lists["less"] else ""


def _behaviour(change: OutputChange, corrected: PValues) -> list[Finding]:
    """A finding for each behaviour that differs, or one that says that none does."""
    rows = [row for row in change.behaviour if row.p_value is not None]
    pairs = list(zip(rows, corrected, strict=True))
    shown = [_behaves(row, p) for row, p in pairs if is_shown(p)]
    if shown or not change.behaviour:
        return shown
    n, least = change.behaviour[0].n, min((p for _, p in pairs if p is not None), default=None)
    verdict = Verdict.of(False if pairs else None)
    headline = f"No difference was found in how the answers behave ({n} prompts)"
    if not pairs:
        headline = "How the answers behave can't be compared: too few of them differ"
    sentence = f"Length, endings, loops, copies, scripts and languages of {n} answers of each model were compared."
    evidence = {row.behaviour: [row.base, row.tuned] for row in change.behaviour} | {"p_value_corrected": least}
    return [Finding(BEHAVIOUR, headline, sentence, verdict, evidence, (Link("Behaviour", "output_behaviour"),))]


def _behaves(row: BehaviourRow, corrected: float | None) -> Finding:
    more = "more" if row.difference > 0 else "fewer"
    headline = {
        "tokens": f"The tuned model's answers are {'longer' if row.difference > 0 else 'shorter'}: {row.tuned:.0f} "
        f"tokens on average, against {row.base:.0f}",
        "answers": f"{more.capitalize()} answers of the tuned model are {row.behaviour}: {row.tuned:.0%}, against "
        f"{row.base:.0%}",
        "letters": f"The tuned model writes {more} {row.behaviour}: {row.tuned:.0%}, against {row.base:.0%}",
    }[row.what]
    sentence = f"Over {row.n} prompts; signs permuted within prompts. {corrected_by(corrected)}"
    evidence = {"base": row.base, "tuned": row.tuned, "n": row.n, "p_value": row.p_value}
    links = (Link("Behaviour", "output_behaviour"),)
    full = evidence | {"p_value_corrected": corrected}
    return Finding(BEHAVIOUR, headline, sentence, Verdict.SHOWN, full, links)


def _no_change(change: OutputChange, tested: Sequence[Finding]) -> Finding:
    known = [one for one in tested if one.verdict is Verdict.NOT_SHOWN]
    sentence = (
        f"{change.moved or 0:.1%} of the probability of the next token moved, and no word more than weight noise of "
        f"the same effect moves one. {len(change.answers)} answers of each model were compared as well."
    )
    evidence = {"total_variation": change.moved, "n_prompts": len(change.answers)}
    evidence |= {one.kind.removeprefix("outputs."): one.evidence.get("p_value_corrected") for one in known}
    headline = "No difference in what the models say was found"
    return Finding(NO_CHANGE, headline, sentence, Verdict.NOT_SHOWN, evidence)


def _described(change: OutputChange) -> list[Question]:
    if not change.first_tokens or not change.first_tokens[0].difference:
        return []
    return [described([_first_token(change)])]


def _first_token(change: OutputChange) -> Finding:
    """The beginning of answers that changed most."""
    row, n = change.first_tokens[0], len(change.answers)
    headline = (
        f"{row.n_tuned} of {n} answers of the tuned model begin with {spelled(row.text)}, of the base {row.n_base}"
    )
    others = [f"{spelled(one.text)} ({one.n_base} → {one.n_tuned})" for one in change.first_tokens[1:N_NAMED]]
    sentence = f"Others: {', '.join(others)}." if others else ""
    evidence = {"token": row.text, "n_base": row.n_base, "n_tuned": row.n_tuned, "n": n}
    links = (Link("First tokens", "output_first_tokens"),)
    return Finding(FIRST_TOKEN, headline, sentence, Verdict.NOT_TESTED, evidence, links)


def _same_weights(change: OutputChange) -> Finding:
    sentence = (
        f"All weights of {change.base} and {change.tuned} are equal, so their outputs are, and nothing was compared."
    )
    headline = "Both checkpoints have the same weights"
    return Finding(SAME_WEIGHTS, headline, sentence, Verdict.NOT_TESTED, {"is_same_weights": True})
