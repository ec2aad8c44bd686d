"""The sentences on how far responses depend on their instruction."""

from dataclasses import asdict

from aftertune.explainers.attribution.density_findings import between, joined, where
from aftertune.explainers.attribution.instruction.effect import InstructionRow
from aftertune.explainers.attribution.sample_size import say_what_was_shown
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.questions import corrected_by, is_shown

KIND = "attribution.instruction"


def tell_instruction(row: InstructionRow, corrected: float | None, base: str, tuned: str) -> Finding:
    """What a row shows; ``corrected`` is its p-value, None where it can't be tested."""
    verdict = Verdict.of(is_shown(corrected))
    evidence = asdict(row) | {"p_value_corrected": corrected}
    sentence = joined(_numbers(row, base, tuned), _tests(row, corrected), _doubt(row, verdict))
    return Finding(KIND, f"{where(row)}: {_claim(row, verdict)}", sentence, verdict, evidence)


def _claim(row: InstructionRow, verdict: Verdict) -> str:
    if verdict is Verdict.CANNOT_TELL:
        return "too few different instructions to tell what tuning did to how responses depend on them"
    if verdict is Verdict.NOT_SHOWN:
        return "no difference was found in how far responses depend on their instruction rather than on other words"
    more = "more" if (row.fall.difference or 0) > 0 else "less"
    return f"the tuned model's responses depend {more} on their instruction"


def _numbers(row: InstructionRow, base: str, tuned: str) -> str:
    fall, share = row.fall, row.share
    over = "one instruction" if fall.n_pairs == 1 else f"{fall.n_pairs} different instructions"
    return (
        f"Without the instruction, log p of its own response falls by {row.tuned:.2f} nats under {tuned} and by "
        f"{row.base:.2f} under {base} (means over {row.n_prompts} prompts); without as many other words of the user by "
        f"{row.tuned_control:.2f} and {row.base_control:.2f}. Within prompts, over {over}, the fall "
        f"changes by {fall.difference:+.2f}{between(fall.difference_interval)}, up for {fall.n_higher} and down for "
        f"{fall.n_lower}, and the instruction's share of both, from {row.base_share:.0%} "
        f"to {row.tuned_share:.0%}, by {share.difference:+.3f}{between(share.difference_interval)}."
    )


def _tests(row: InstructionRow, corrected: float | None) -> str:
    if corrected is None:
        return (
            "Any change of weights moves what one instruction does a little up or down, in all prompts that hold it: a "
            "test needs prompts with different instructions."
        )
    alone = f"alone {row.fall.p_value:.2g} of the fall, {row.share.p_value:.2g} of the share"
    return f"{corrected_by(corrected)[:-1]} (two-sided permutation tests of signs within prompts, the larger; {alone})."


def _doubt(row: InstructionRow, verdict: Verdict) -> str:
    """What could have been found, where nothing was."""
    if verdict is not Verdict.NOT_SHOWN:
        return ""
    return say_what_was_shown(row.fall.n_higher + row.fall.n_lower, row.fall.n_pairs, row.fall.std)
