"""Does the tuned model use its instructions more densely than its base, or less?  The sentences on table 2.

Both models are given the same prompts, so the verdict is that of a two-sided permutation test of signs within prompts,
corrected for all that the report asks. The paper's test (Welch's, one-sided) stands beside it and decides nothing.
"""

from dataclasses import asdict

from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.density_comparison import Table1Row, Table2Row
from aftertune.explainers.attribution.sample_size import say_what_was_shown
from aftertune.statistics.effects import detectable_paired_effect
from aftertune.statistics.finding import Finding, Interval, Verdict
from aftertune.statistics.questions import is_shown
from aftertune.statistics.spread import ALPHA

KIND = "attribution.density"


def tell_density(row: Table2Row, corrected: float | None, change: AttributionChange) -> Finding:
    """What a row of table 2 shows; ``corrected`` is its p-value after correction, None where nothing can be tested."""
    verdict = Verdict.of(is_shown(corrected))
    evidence = {
        **{"dataset": row.dataset, "pooled": row.pooled, "n_base": row.base.n, "n_tuned": row.tuned.n},
        **{"difference": row.difference, "effect_size_g": row.effect_size_g, "paired": asdict(row.paired)},
        **{"p_value": row.paired.p_value, "p_value_corrected": corrected, "p_value_paper": row.p_value},
        "detectable_effect": detectable_paired_effect(row.paired.n_pairs),
    }
    if verdict is Verdict.CANNOT_TELL:
        sentence = "A test within prompts needs two prompts or more that both models answered."
        return Finding(KIND, f"{where(row)}: too few prompts to compare", sentence, verdict, evidence)
    sentence = joined(_numbers(row, change), _tests(row, corrected), _doubt(row, verdict))
    return Finding(KIND, f"{where(row)}: {_claim(row, verdict)}", sentence, verdict, evidence)


def where(row: Table1Row | Table2Row) -> str:
    """The data set as a sentence names it."""
    return "All data sets" if row.pooled else row.dataset


def between(interval: Interval | None) -> str:
    """An interval after its number, empty where there is none."""
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def joined(*sentences: str) -> str:
    """The sentences that are not empty, one after the other."""
    return " ".join(sentence for sentence in sentences if sentence)


def _claim(row: Table2Row, verdict: Verdict) -> str:
    if verdict is not Verdict.SHOWN:
        return "no difference was found in how densely the models use their instructions"
    return f"the tuned model uses its instructions {'more' if (row.paired.difference or 0) > 0 else 'less'} densely"


def _numbers(row: Table2Row, change: AttributionChange) -> str:
    pairs = row.paired
    return (
        f"The mean score is {row.tuned.mean:.3f} for {change.tuned} and {row.base.mean:.3f} for {change.base} "
        f"({row.tuned.n} and {row.base.n} responses). Within prompts, on {pairs.n_pairs} pairs, it changes by "
        f"{pairs.difference:+.3f}{between(pairs.difference_interval)}: up for {pairs.n_higher}, down for "
        f"{pairs.n_lower}."
    )


def _tests(row: Table2Row, corrected: float | None) -> str:
    paper = "" if row.p_value is None else f" The paper's test, which does not pair, gives p = {row.p_value:.2g}."
    return (
        f"Corrected for all that this report tests, p = {corrected:.2g} (two-sided permutation test of signs within "
        f"prompts; alone {row.paired.p_value:.2g}).{paper}"
    )


def _doubt(row: Table2Row, verdict: Verdict) -> str:
    """What speaks against reading more into the numbers than the verdict says."""
    pairs = row.paired
    if verdict is Verdict.SHOWN:
        return ""
    n_different = pairs.n_higher + pairs.n_lower
    is_near = pairs.p_value is not None and pairs.p_value < ALPHA
    near = "By itself this test would show a difference; more prompts would settle it." if is_near else ""
    return joined(near, say_what_was_shown(n_different, pairs.n_pairs, pairs.std))
