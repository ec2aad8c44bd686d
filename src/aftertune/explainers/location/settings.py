"""On how many texts, and for how many modules, it is measured where a change sits."""

from aftertune.explainers.settings import Settings, setting


class LocationSettings(Settings):
    """How the change of weights is located; the same for all pairs of models of a study.

    ``swaps`` is the largest number of modules that are swapped one by one: those of largest relative change. ``texts``
    is the largest number of prompts that are answered, ``answer_tokens`` the longest answer, in tokens. ``confirm`` is
    the largest number of heads, and of directions of the change, that are swapped where other explainers name them.
    Raises `AttributionError` for what is not allowed.
    """

    swaps: int = setting(80, "Most modules that are swapped one by one, those that changed most; 0 for none.", ge=0)
    texts: int = setting(12, "Most prompts whose answers the swaps are measured on.", flag="", ge=2)
    answer_tokens: int = setting(
        32, "Most tokens of an answer that swaps are measured on.", flag="location-tokens", ge=1
    )
    confirm: int = setting(
        3,
        "Most heads, and most directions, that are named and then swapped by themselves; 0 for none.",
        scope="units",
        ge=0,
    )
