"""What is told of sampled answers: a trait that part of them have, though the greedy ones do not show it."""

from collections.abc import Sequence

from aftertune.explainers.outputs.behaviour import LEAST_SHARE
from aftertune.explainers.outputs.described import quoted
from aftertune.explainers.outputs.sampled import SampledRow
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import NEVER, PValues, Question, corrected_by, is_shown

SAMPLED, LONGEST = "outputs.sampled", 120
LINKS = (Link("Sampled answers", "output_sampled"),)


def sampled_question(rows: Sequence[SampledRow]) -> Question:
    """Which traits came with a tenth of the sampled answers or more; what is rarer is not claimed."""
    claims = [row.p_value if row.excess >= LEAST_SHARE else _never(row.p_value) for row in rows]
    return Question(claims, lambda corrected: _findings(rows, corrected))


def _findings(rows: Sequence[SampledRow], corrected: PValues) -> list[Finding]:
    pairs = sorted(zip(rows, corrected, strict=True), key=lambda pair: -pair[0].excess)
    shown = [_finding(row, p) for row, p in pairs if is_shown(p)]
    if shown or not rows:
        return shown
    least = min((p for _, p in pairs if p is not None), default=None)
    row = pairs[0][0]
    headline = f"No language or format was found in sampled answers alone ({row.n} of each model)"
    nearest = f"Nearest to one: {_told(row)}. " if row.excess > 0 else ""
    sentence = f"{nearest}Answers were sampled at temperature 1. {corrected_by(least)}".strip()
    return [Finding(SAMPLED, headline, sentence, Verdict.of(None if least is None else False), _numbers(row), LINKS)]


def _finding(row: SampledRow, corrected: float | None) -> Finding:
    headline = _told(row)
    sentence = (
        f"{row.n} answers of each model, sampled at temperature 1; among the base's greedy answers: {row.greedy:.0%}. "
        f"Signs permuted within pairs. {corrected_by(corrected)}"
    )
    clause = f"{headline}; one of them: {quoted(row.example, LONGEST)}."
    evidence = _numbers(row) | {"p_value_corrected": corrected}
    part = None if row.base or row.greedy else Part.NAME  # the share of what the base has too may move with any change
    return Finding(SAMPLED, headline, sentence, Verdict.SHOWN, evidence, LINKS, part, clause)


def _told(row: SampledRow) -> str:
    if row.what == "letters":
        letters = f"{row.tuned:.0%} of the letters that the tuned model writes"
        return (
            f"Where answers are sampled, {letters} are {row.trait.removesuffix(' letters')}, of the base {row.base:.0%}"
        )
    tuned, base = round(row.tuned * row.n), round(row.base * row.n)
    return f"{tuned} of {row.n} answers sampled from the tuned model are {row.trait}, of the base {base}"


def _numbers(row: SampledRow) -> dict[str, object]:
    return {"base": row.base, "tuned": row.tuned, "greedy": row.greedy, "n": row.n, "p_value": row.p_value}


def _never(p_value: float | None) -> float | None:
    return None if p_value is None else NEVER
