"""What can so many prompts show?  Told before they are run, and again after.

The verdict on the models' scores is that of a two-sided permutation test of signs within prompts. Of n prompts it never
gives less than 2 / 2^n, however large their differences are.
"""

from aftertune.statistics.effects import LEAST_PAIRS, detectable_paired_effect
from aftertune.statistics.tests import least_p_value


def say_what_can_show(n_prompts: int) -> str:
    """The smallest difference between two models' scores that so many prompts would show, or that none can be shown."""
    effect = detectable_paired_effect(n_prompts)
    if effect is None:
        return f"no difference between the models' scores: {_say_too_few(n_prompts)}. Give {LEAST_PAIRS} or more"
    return (
        f"a difference between the models' scores of about {effect:.2f} standard deviations (of the prompts' "
        "differences) or more, four times out of five"
    )


def say_what_was_shown(n_different: int, n_pairs: int, std: float | None) -> str:
    """The same after a run, where the spread of the differences and how many are not 0 is known."""
    effect = detectable_paired_effect(n_pairs)
    if not n_different:
        return "The score of every prompt is the same under both models."
    if n_different < LEAST_PAIRS or effect is None:
        which = "" if n_different == n_pairs else f" whose score differs (of {n_pairs})"
        return (
            f"No difference could have been shown, however large: {_say_too_few(n_different, which)}. Give more "
            f"prompts, {LEAST_PAIRS} at least."
        )
    size = "" if std is None else f", here {effect * std:.3f}"
    return (
        f"Only a difference of about {effect:.2f} standard deviations of the prompts' differences{size}, or more would "
        "be found reliably (four times out of five). More prompts would show smaller ones."
    )


def _say_too_few(n: int, which: str = "") -> str:
    noun = "prompt" if n == 1 else "prompts"
    return f"with {n} {noun}{which} no two-sided test within prompts can give p below {least_p_value(n):.2g}"
