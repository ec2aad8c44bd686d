"""One set of colours for the page and the figures, told apart by colour-blind readers and never the only sign.

Levels run from pale to deep violet on a light page and from deep to pale on a dark one, so "more" always stands out
from the paper. Base is blue, tuned is vermilion (after Okabe and Ito), and density is a highlighter's yellow. Models
differ in colour, dash and mark, so that no figure is read by colour alone.
"""

from collections.abc import Sequence
from typing import Any

Rgb = tuple[int, int, int]

N_SHADES = 10

BASE = "#1f77b4"
TUNED = "#d4600a"
# Any two of six lie more than 30 apart in CIE L*a*b*, also as protanopes and deuteranopes see them.
DATASETS = ["#57a509", "#3434f4", "#09a57e", "#384875", "#3494f4", "#055705"]
GREY = "#8a8f98"
MODELS = [BASE, TUNED, "#09a57e", "#3434f4", "#8b3d23", "#2b4e5a"]
DASHES = [[1, 0], [6, 3], [2, 2], [10, 3, 2, 3], [4, 1], [1, 3]]
SHAPES = ["circle", "triangle-up", "square", "diamond", "triangle-down", "cross"]
LIGHT_RAMP: tuple[Rgb, Rgb] = ((236, 231, 248), (53, 16, 138))
DARK_RAMP: tuple[Rgb, Rgb] = ((46, 38, 78), (222, 211, 255))


def ramp(ends: tuple[Rgb, Rgb] = LIGHT_RAMP) -> list[str]:
    """The colours of levels 1 to 10 as hexadecimal codes."""
    return [_between(*ends, index / (N_SHADES - 1)) for index in range(N_SHADES)]


def one_each(looks: Sequence[Any], n: int) -> list[Any]:
    """A look for each of ``n`` models in their order; after the last look, the first again."""
    return [looks[index % len(looks)] for index in range(n)]


def _between(low: Rgb, high: Rgb, share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))
