"""The sentences on what of the answers comes with the instruction."""

from collections.abc import Sequence

from aftertune.explainers.outputs.behaviour import LENGTH, are
from aftertune.explainers.outputs.instruction.effect import SIDES, InstructedRow
from aftertune.runs.readable import quoted
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import NEVER, PValues, Question, corrected_by, is_shown

KIND = "outputs.instruction"
LEAST_EXCESS = 1 / 3  # of the answers; what fewer show is never claimed
LINKS = (Link("With and without the instruction", "output_instructed"),)
TESTED = "Base and tuned are swapped within prompts, for all traits together."


def instructed_questions(rows: Sequence[InstructedRow], p_value: float | None) -> list[Question]:
    """Whether a trait of the answers comes with the instruction under one of the models alone, where any is marked."""
    if not rows:
        return []
    claim = p_value if p_value is None or abs(rows[0].excess) >= LEAST_EXCESS else NEVER
    return [Question([claim], lambda corrected: _findings(rows, corrected))]


def _findings(rows: Sequence[InstructedRow], corrected: PValues) -> list[Finding]:
    (p,) = corrected
    told = [row for row in rows if row.beyond_swaps and abs(row.excess) >= LEAST_EXCESS] if is_shown(p) else []
    if told:
        return [_finding(row, p) for row in sorted(told, key=_rank)]
    n = rows[0].n
    headline = (
        f"No form of answers was found that comes with the instruction under one of the models alone ({n} prompts)"
    )
    if p is None:
        headline = "Whether the form of answers comes with the instruction can't be told: too few of them differ"
    nearest = f"Nearest to one: {_told(rows[0])}. " if rows[0].excess else ""
    sentence = f"{nearest}{TESTED} {corrected_by(p)}".strip()
    evidence = _numbers(rows[0]) | {"p_value_corrected": p}
    return [Finding(KIND, headline, sentence, Verdict.of(is_shown(p)), evidence, LINKS)]


def _rank(row: InstructedRow) -> tuple[bool, bool, float]:
    """What the tuned model does because it is asked to comes first, then the largest difference."""
    return (not _follows(row), row.what == LENGTH, -abs(row.excess))


def _follows(row: InstructedRow) -> bool:
    """Whether the tuned model's answers depend on the instruction more than the base's, and gain by it."""
    own, other = row.tuned - row.tuned_without, row.base - row.base_without
    return abs(own) > abs(other) and (own > 0 or row.what == LENGTH)


def _finding(row: InstructedRow, corrected: float | None) -> Finding:
    headline = _told(row)
    sentence = f"Over {row.n} prompts. {_shown(row)}{TESTED} {corrected_by(corrected)}"
    evidence = _numbers(row) | {"p_value_corrected": corrected}
    part = Part.NAME if _follows(row) else None
    return Finding(KIND, headline, sentence, Verdict.SHOWN, evidence, LINKS, part, f"{headline}.")


def _told(row: InstructedRow) -> str:
    if row.what == LENGTH:
        return (
            f"Where the prompt {_holds(row)}, the tuned model answers with {row.tuned:.0f} tokens on average, where "
            f"that is left out with {row.tuned_without:.0f}; the base with {row.base:.0f} and {row.base_without:.0f}"
        )
    n, without, base, base_without = (
        round(share * row.n) for share in (row.tuned, row.tuned_without, row.base, row.base_without)
    )
    return (
        f"{are(row.trait, f'{n} of {row.n} answers of the tuned model')} where the prompt {_holds(row)}, and "
        f"{without} where that is left out; of the base {base} and {base_without}"
    )


def _holds(row: InstructedRow) -> str:
    return f"says {quoted(row.request)}" if row.request else "has its instruction"


def _shown(row: InstructedRow) -> str:
    """One prompt, with the tuned model's answers to it with and without its instruction."""
    if not row.prompt:
        return ""
    own, without = quoted(row.answer), quoted(row.answer_without)
    return f"Asked {quoted(row.prompt)}, the tuned model answers {own}, and without the instruction {without}. "


def _numbers(row: InstructedRow) -> dict[str, object]:
    names = ("trait", *SIDES, "excess", "n")
    return {name: getattr(row, name) for name in names} | {"unit": LENGTH if row.what == LENGTH else "share"}
