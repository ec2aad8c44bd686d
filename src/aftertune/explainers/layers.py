"""Which layers of a model are asked for?"""

import re

from aftertune.errors import AttributionError

RANGE = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
FORM = "Give them as 0-7 or 0,4,8-11."


def must_be_layers(layers: str | None) -> None:
    """Raise `AttributionError` for a text that names no layers; None, which stands for all, is let through."""
    if layers is not None and not (RANGE.fullmatch(layers) and all(a <= b for a, b in _ends(layers))):
        raise AttributionError(f"The layers {layers!r} can't be read. {FORM}")


def chosen_layers(layers: str | None, n_layers: int) -> tuple[int, ...]:
    """The layers that are asked for of a model that has ``n_layers``, all of them for None.

    Raises `AttributionError` if the model lacks one of them.
    """
    if layers is None:
        return tuple(range(n_layers))
    if max(last for _, last in _ends(layers)) >= n_layers:
        raise AttributionError(
            f"The layers {layers!r} are not all there: the model has {n_layers}, 0 to {n_layers - 1}. {FORM}"
        )
    return tuple(sorted({layer for first, last in _ends(layers) for layer in range(first, last + 1)}))


def _ends(layers: str) -> list[tuple[int, int]]:
    """The first and last layer of each range."""
    parts = [part.split("-") for part in layers.split(",")]
    return [(int(part[0]), int(part[-1])) for part in parts]
