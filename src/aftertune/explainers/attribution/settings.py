"""How responses are attributed to their prompts: what can be chosen."""

from collections.abc import Sequence
from typing import Literal

from aftertune.errors import AttributionError
from aftertune.explainers.settings import Settings, setting

Route = Literal["auto", "forward", "reverse", "removal", "forward-bfloat16"]
Removal = Literal["zeroed", "deleted"]
Division = Literal["token", "word", "sentence", "line"]


class AttributionSettings(Settings):
    """How each response is attributed, the same for all prompts and models of a study.

    ``route``, ``removal`` and ``unit`` are those of `aftertune.attribute`. ``check`` is the number of prompts for each
    model on which the first order is compared with removal itself. Raises `AttributionError` for another value.
    """

    route: Route = setting("auto", "how importance is computed; auto takes the cheaper of forward and reverse")
    removal: Removal = setting(
        "zeroed", "what removing a token means: its embedding is zero, or it leaves the sequence"
    )
    unit: Division = setting("token", "what counts as one part of the prompt", flag="")
    check: int = setting(4, "number of prompts on which the maps are compared with removing tokens", ge=0)


def must_be_known(setting: str, given: str, allowed: Sequence[str]) -> None:
    """Raise `AttributionError` if a setting has a value that is not allowed."""
    if given not in allowed:
        raise AttributionError(f"The {setting} {given!r} is not known. Allowed: {', '.join(allowed)}.")
