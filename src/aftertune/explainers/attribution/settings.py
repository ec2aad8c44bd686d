"""How responses are attributed to their prompts: what can be chosen."""

from collections.abc import Sequence
from typing import Literal, Self

from aftertune.errors import AttributionError, not_known
from aftertune.explainers.settings import Settings, setting

Method = Literal["removal", "gradient", "locally-linear"]
Route = Literal["auto", "forward", "reverse", "forward-bfloat16"]
Removal = Literal["deleted", "zeroed", "mean", "averaged", "mixed"]
Division = Literal["token", "word", "sentence", "line"]
LEAST_UNITS = 200  # fewer are left out one by one whatever the budget


class AttributionSettings(Settings):
    """How each response is attributed, the same for all prompts and models of a study.

    ``method``, ``removal``, ``removal_budget``, ``route`` and ``unit`` are those of `aftertune.attribute`. With
    ``difference`` the base reads the tuned model's responses too (`aftertune.attribute_difference`). ``check`` is the
    number of prompts for each model on which the maps are held against words that are replaced, and against another
    removal.
    Raises `AttributionError` for another value.
    """

    method: Method = setting("removal", "how the importance of a prompt token is measured (docs/how-to.md)")
    removal: Removal = setting(
        "mean", "how removal leaves a token out (docs/how-to.md); of models behind servers it is deleted"
    )
    removal_budget: float = setting(
        1.0,
        "share of the cost of leaving every token out: below 1, long prompts are searched by sentences first",
        gt=0,
        le=1,
    )
    route: Route = setting("auto", "how the gradient is computed; auto takes the cheaper of forward and reverse")
    unit: Division = setting("token", "what counts as one part of the prompt; words take fewer passes")
    difference: bool = setting(
        True, "whether the base reads the tuned model's responses too, for maps of what the difference depends on"
    )
    check: int = setting(4, "number of prompts on which the maps are held against replaced words", ge=0)

    def for_servers(self) -> Self:
        """A server is told tokens, not embeddings: where no removal was chosen, tokens leave the sequence."""
        return self if "removal" in self.model_fields_set else self.replaced(removal="deleted")


def must_be_known(setting: str, given: str, allowed: Sequence[str]) -> None:
    """Raise `AttributionError` if a setting has a value that is not allowed."""
    if given not in allowed:
        raise AttributionError(not_known(setting, given, allowed))


def must_belong(method: str, route: str, budget: float = 1.0, unit: object = "token") -> None:
    """Raise `AttributionError` for a route or a budget with a method or unit that takes none."""
    if route != "auto" and method != "gradient":
        raise AttributionError(
            f"The route {route!r} is one of the gradient, and the method is {method!r}. "
            "Take the method 'gradient' with it, or leave the route out."
        )
    if not 0 < budget <= 1:
        raise AttributionError(f"The removal_budget is {budget}; it must be above 0 and at most 1 (every token).")
    if budget < 1 and (method != "removal" or unit not in ("token", "word")):
        raise AttributionError(
            f"A removal_budget below 1 is for the method 'removal' with the unit 'token' or 'word', and these are "
            f"{method!r} and {unit!r}. Leave the removal_budget out."
        )


def other_removal(removal: Removal) -> Removal:
    """Another way to leave a token out, that has no part in the first; of ``mixed``, which has all, zeroed."""
    return "deleted" if removal in ("zeroed", "mean") else "zeroed"
