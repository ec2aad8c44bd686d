"""Does the tuned model use its instructions more densely than its base, or less?  The sentences on table 2.

1. Both models are given the same prompts, so a two-sided permutation test of signs within prompts decides, of the score
   without copied tokens, corrected for all that the report asks. It says how evenly the prompt is used.
2. Something is said of *instructions* only if that is shown, and the same test of their excess over any words of the
   same prompts agrees (`controls`). It is asked only then, so it takes the correction over from the first question.
   Any change of weights moves what one sentence does in all prompts that hold it: so there must be several.
3. Where the difference is not told from 0 once the copied share is held constant, that is what the headline says.
4. Nothing is claimed from maps that do not predict what replacing words does, or where both kinds of removal disagree.
5. The paper's score and test (Welch's, one-sided) stand beside it and decide nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from aftertune.explainers.attribution.faithfulness import FAIR
from aftertune.explainers.attribution.sample_size import say_what_was_shown
from aftertune.statistics.effects import LEAST_PAIRS, detectable_paired_effect
from aftertune.statistics.finding import Finding, Interval, Verdict
from aftertune.statistics.questions import is_shown, largest
from aftertune.statistics.spread import ALPHA

if TYPE_CHECKING:
    from aftertune.explainers.attribution.change import AttributionChange
    from aftertune.explainers.attribution.controls import Table2Control
    from aftertune.explainers.attribution.density_comparison import Table1Row, Table2Row
    from aftertune.explainers.attribution.instruction.effect import InstructionRow

KIND = "attribution.density"


def of_instruction_corrected(own: float | None, corrected: float | None, excess: float | None) -> float | None:
    """The p-value of a claim on instructions, which needs two tests, corrected as the first of them (``own``) was."""
    both = largest(own, excess)
    return None if both is None or own is None or corrected is None else min(1.0, both * corrected / own)


def tell_density(row: Table2Row, control: Table2Control, corrected: float | None, change: AttributionChange) -> Finding:
    """What a row of table 2 shows; ``corrected`` is the p-value of its score, None where nothing is tested."""
    doubt, own = why_nothing_is_claimed(change), control.score.p_value
    verdict = Verdict.CANNOT_TELL if doubt else Verdict.of(is_shown(corrected))
    p_instruction = of_instruction_corrected(own, corrected, control.excess.p_value)
    can_be = not doubt and not _goes_with_copying(control) and control.n_instructions >= LEAST_PAIRS
    of_instruction = can_be and bool(is_shown(p_instruction))
    evidence = {
        **{"dataset": row.dataset, "pooled": row.pooled, "n_base": row.base.n, "n_tuned": row.tuned.n},
        **{"difference": row.difference, "effect_size_g": row.effect_size_g, "paired": asdict(control.score)},
        **{"control": asdict(control.control), "excess": asdict(control.excess), "paper_paired": asdict(row.paired)},
        **{"adjusted": control.adjusted, "adjusted_interval": control.adjusted_interval},
        **{"p_value": own, "p_value_corrected": corrected},
        **{"p_value_excess": control.excess.p_value, "p_value_instruction_corrected": p_instruction},
        **{"p_value_paper": row.p_value, "of_instruction": of_instruction, "n_instructions": control.n_instructions},
        "detectable_effect": detectable_paired_effect(control.score.n_pairs),
    }
    if corrected is None:
        sentence = "A test within prompts needs two prompts or more that both models answered."
        return Finding(KIND, f"{where(row)}: too few prompts to compare", sentence, Verdict.CANNOT_TELL, evidence)
    if doubt:
        headline = f"{where(row)}: whether prompts are used otherwise can't be told from these maps"
        return Finding(KIND, headline, joined(doubt, _numbers(row, control, change)), verdict, evidence)
    told = _tests(row, control, corrected, p_instruction)
    sentence = joined(_numbers(row, control, change), _beyond(control), told, _doubt(control, verdict))
    return Finding(KIND, f"{where(row)}: {_claim(control, verdict, of_instruction)}", sentence, verdict, evidence)


def why_nothing_is_claimed(change: AttributionChange) -> str:
    """What speaks against reading anything into the maps; empty where nothing does, or it was not checked."""
    faithful, agreement = change.faithfulness, change.agreement
    if faithful is not None and not faithful.is_faithful:
        return (
            "Nothing is claimed from these maps: they predict what replacing a word does at "
            f"{faithful.spearman_mean:.2f} of a possible {faithful.ceiling_mean or 1:.2f}."
        )
    if agreement is not None and change.settings.get("method") == "removal" and agreement.spearman_mean < FAIR:
        return (
            "Nothing is claimed from these maps: another way of removing tokens ranks prompt tokens differently (rank "
            f"correlation {agreement.spearman_mean:.2f})."
        )
    return ""


def where(row: Table1Row | Table2Row | InstructionRow) -> str:
    """The data set as a sentence names it."""
    return "All data sets" if row.pooled else row.dataset


def between(interval: Interval | None) -> str:
    """An interval after its number, empty where there is none."""
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def joined(*sentences: str) -> str:
    """The sentences that are not empty, one after the other."""
    return " ".join(sentence for sentence in sentences if sentence)


def _claim(control: Table2Control, verdict: Verdict, of_instruction: bool) -> str:
    if verdict is not Verdict.SHOWN:
        return "no difference was found in how densely the models use their prompts"
    more = "more" if (control.score.difference or 0) > 0 else "less"
    if _goes_with_copying(control):
        return f"the tuned model uses its prompts {more} evenly, which goes with how much it copies"
    if of_instruction:
        return f"the tuned model uses its instructions {more} densely"
    return f"the tuned model uses its prompts {more} evenly, which is not shown of instructions in particular"


def _goes_with_copying(control: Table2Control) -> bool:
    """Whether the difference is not told from 0 where the copied share is held constant."""
    interval = control.adjusted_interval
    return interval is not None and interval[0] <= 0 <= interval[1]


def _numbers(row: Table2Row, control: Table2Control, change: AttributionChange) -> str:
    pairs = control.score
    return (
        f"The paper's mean score is {row.tuned.mean:.3f} for {change.tuned} and {row.base.mean:.3f} for {change.base} "
        f"({row.tuned.n} and {row.base.n} responses). Without copied tokens, within prompts, on {pairs.n_pairs} pairs, "
        f"the score changes by {pairs.difference:+.3f}{between(pairs.difference_interval)}: up for {pairs.n_higher}, "
        f"down for {pairs.n_lower}."
    )


def _beyond(control: Table2Control) -> str:
    """How much of it is the instruction's, and how much is copying."""
    words, excess = control.control, control.excess
    told = (
        f"As many of any words of the same prompts change by {words.difference:+.3f}, the instruction beyond them by "
        f"{excess.difference:+.3f}{between(excess.difference_interval)}."
    )
    if control.adjusted is None:
        return told
    return (
        f"{told} With the copied share held constant it is {control.adjusted:+.3f}{between(control.adjusted_interval)}."
    )


def _tests(row: Table2Row, control: Table2Control, corrected: float, p_instruction: float | None) -> str:
    paper = "" if row.p_value is None else f" The paper's test, which does not pair, gives p = {row.p_value:.2g}."
    own = "" if p_instruction is None else f", of the instruction {p_instruction:.2g}"
    return (
        f"Corrected for all that this report tests, p = {corrected:.2g} (two-sided permutation test of signs within "
        f"prompts; alone {control.score.p_value:.2g}){own}.{paper}"
    )


def _doubt(control: Table2Control, verdict: Verdict) -> str:
    """What speaks against reading more into the numbers than the verdict says."""
    pairs = control.score
    if verdict is Verdict.SHOWN:
        return ""
    n_different = pairs.n_higher + pairs.n_lower
    is_near = pairs.p_value is not None and pairs.p_value < ALPHA
    near = "By itself this test would show a difference; more prompts would settle it." if is_near else ""
    return joined(near, say_what_was_shown(n_different, pairs.n_pairs, pairs.std))
