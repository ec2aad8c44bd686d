"""What is told of sampled answers: a trait that some of them have, though greedy ones do not show it."""

from collections.abc import Collection, Sequence

from aftertune.explainers.outputs.behaviour import LEAST_SHARE, are
from aftertune.explainers.outputs.sampled import SampledRow
from aftertune.runs.readable import quoted
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import NEVER, PValues, corrected_by, is_shown

SAMPLED, LONGEST = "outputs.sampled", 120
LINKS = (Link("Sampled answers", "output_sampled"),)


def sampled_claims(rows: Sequence[SampledRow]) -> list[float | None]:
    """P-values of the claims that a trait came with a tenth of the sampled answers; what is rarer is never claimed."""
    return [row.p_value if row.p_value is None or row.excess >= LEAST_SHARE else NEVER for row in rows]


def sampled_findings(rows: Sequence[SampledRow], corrected: PValues, named: Collection[str]) -> list[Finding]:
    """A finding for each trait that is shown, but for those which greedy answers name, and one where none is."""
    pairs = sorted(zip(rows, corrected, strict=True), key=lambda pair: -pair[0].excess)
    shown = [(row, p) for row, p in pairs if is_shown(p)]
    if shown or not rows:
        return [_finding(row, p) for row, p in shown if row.trait not in named]
    row, least = pairs[0][0], min((p for _, p in pairs if p is not None), default=None)
    headline = "Sampled answers show no language, script or format that the base's answers do not"
    if least is None:
        headline = "Sampled answers can't be compared: too few of them differ in language, script or format"
    nearest = f"Nearest to one: {_told(row)}. " if row.excess > 0 else ""
    sentence = f"{nearest}{row.n} answers of each model, sampled at temperature 1. {corrected_by(least)}".strip()
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
    tuned, base = round(row.tuned * row.n), round(row.base * row.n)
    return f"{are(row.trait, f'{tuned} of {row.n} answers sampled from the tuned model')}, of the base {base}"


def _numbers(row: SampledRow) -> dict[str, object]:
    shares = {name: getattr(row, name) for name in ("base", "tuned", "greedy", "n", "p_value")}
    return {"trait": row.trait, "unit": "share"} | shares
