"""The sentences on what of the answers comes with the instruction."""

from collections.abc import Sequence

from aftertune.explainers.outputs.behaviour import are
from aftertune.explainers.outputs.instruction.effect import SHARES, InstructedRow
from aftertune.runs.readable import quoted
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import NEVER, PValues, Question, corrected_by, is_shown

KIND = "outputs.instruction"
LEAST_EXCESS = 1 / 3  # of the answers; what fewer show is never claimed
LINKS = (Link("With and without the instruction", "output_instructed"),)
TESTED = "The test swaps base and tuned within prompts, for all forms together."


def instructed_questions(rows: Sequence[InstructedRow], p_value: float | None) -> list[Question]:
    """Whether a form of answers comes with the instruction under one of the models alone, where any is marked."""
    if not rows:
        return []
    claim = p_value if p_value is None or abs(rows[0].excess) >= LEAST_EXCESS else NEVER
    return [Question([claim], lambda corrected: _findings(rows, corrected))]


def _findings(rows: Sequence[InstructedRow], corrected: PValues) -> list[Finding]:
    (p,) = corrected
    told = [row for row in rows if row.beyond_swaps and abs(row.excess) >= LEAST_EXCESS] if is_shown(p) else []
    if told:
        return [_finding(row, p) for row in sorted(told, key=lambda row: (not _follows(row), -abs(row.excess)))]
    evidence = _numbers(rows[0]) | {"p_value_corrected": p}
    if p is None:
        headline = "Whether the form of answers comes with the instruction can't be told: too few of them differ"
        return [Finding(KIND, headline, "", Verdict.CANNOT_TELL, evidence, LINKS)]
    n = f"{rows[0].n_prompts} prompts"
    headline = f"No form of answers was found that comes with the instruction under one of the models alone ({n})"
    nearest = f"Nearest to one: {_told(rows[0])}. " if rows[0].excess else ""
    sentence = f"{nearest}{TESTED} {corrected_by(p)}"
    return [Finding(KIND, headline, sentence, Verdict.NOT_SHOWN, evidence, LINKS)]


def _follows(row: InstructedRow) -> bool:
    """Whether the tuned model's answers gain a form by the instruction, and more than the base's change by it."""
    return row.tuned - row.tuned_without > abs(row.base - row.base_without)


def _finding(row: InstructedRow, corrected: float | None) -> Finding:
    headline = _told(row)
    sentence = f"{_example(row)}{TESTED} {corrected_by(corrected)}"
    evidence = _numbers(row) | {"p_value_corrected": corrected}
    part = Part.NAME if _follows(row) else None
    return Finding(KIND, headline, sentence, Verdict.SHOWN, evidence, LINKS, part, f"{headline}.")


def _told(row: InstructedRow) -> str:
    base, base_without, tuned, tuned_without = (round(getattr(row, side) * row.n_prompts) for side in SHARES)
    holds = f"says {quoted(row.request)}" if row.request else "has its instruction"
    return (
        f"{are(row.trait, f'{tuned} of {row.n_prompts} answers of the tuned model')} where the prompt {holds}, and "
        f"{tuned_without} where that is left out; of the base {base} and {base_without}"
    )


def _example(row: InstructedRow) -> str:
    """What the tuned model answers to one prompt with its instruction and without it."""
    if not row.instruction:
        return ""
    left, instruction, own, without = map(quoted, (row.left, row.instruction, row.answer, row.answer_without))
    return f"Asked {left} with {instruction}, the tuned model answers {own}, and without it {without}. "


def _numbers(row: InstructedRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("trait", *SHARES, "excess", "n_prompts")} | {"unit": "share"}
