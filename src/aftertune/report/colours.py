"""One set of colours for the page and the figures, told apart by colour-blind readers and never the only sign.

Levels run from pale to deep violet on a light page and from deep to pale on a dark one, so "more" always stands out
from the paper. Base is blue, tuned is vermilion (after Okabe and Ito), and density is a highlighter's yellow.
"""

from aftertune.results.sparsify import N_LEVELS

Rgb = tuple[int, int, int]

BASE = "#1f77b4"
TUNED = "#d4600a"
DATASETS = ["#7463d6", "#0f8a70", "#c2477f", "#8a6d00", "#4a6785", "#a0522d"]
GREY = "#8a8f98"
LIGHT_RAMP: tuple[Rgb, Rgb] = ((236, 231, 248), (53, 16, 138))
DARK_RAMP: tuple[Rgb, Rgb] = ((46, 38, 78), (222, 211, 255))


def ramp(ends: tuple[Rgb, Rgb] = LIGHT_RAMP) -> list[str]:
    """The colours of levels 1 to 10 as hexadecimal codes."""
    return [_between(*ends, index / (N_LEVELS - 1)) for index in range(N_LEVELS)]


def _between(low: Rgb, high: Rgb, share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))
