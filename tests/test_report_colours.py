"""Are the colours readable: text against its ground, and models and data sets apart for the colour-blind?

1. Contrast is at least 4.5 to 1 for text and 3 to 1 for marks (WCAG 2, level AA) on every ground, in both schemes.
2. Colours that stand for different things lie far apart in CIE L*a*b* as normal eyes, protanopes and deuteranopes see
   them (matrices of Machado, Oliveira and Fernandes, 2009, in linear RGB).
"""

import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aftertune import report
from aftertune.explainers.concepts.charts import COLOURS as ANGLES
from aftertune.explainers.heads.charts import COLOURS as LISTS
from aftertune.report import colours

Vector = npt.NDArray[np.float64]
STYLE = (Path(report.__file__).parent / "templates" / "page.css").read_text("utf-8")
EYES = {
    "normal": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)
TEXTS, GROUNDS = ("ink", "soft", "faint", "base", "tuned", "good", "accent"), ("paper", "card", "wash")
LEAST_CONTRAST, LEAST_CONTRAST_OF_MARKS, LEAST_DISTANCE = 4.5, 3.0, 25.0
# The first level whose text is written in the colour "on deep".
FIRST_DEEP = {"light": 7, "dark": 5}


def linear(code: str) -> Vector:
    """A colour such as #1f77b4 or #fff in linear RGB."""
    digits = code.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    share = np.array([int(digits[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    return np.asarray(np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4))


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(TO_XYZ[1] @ linear(code)) for code in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(code: str, eyes: str) -> Vector:
    ratio = TO_XYZ @ np.clip(EYES[eyes] @ linear(code), 0, 1) / WHITE
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(codes: Sequence[str], eyes: str) -> float:
    return min(float(np.linalg.norm(lab(a, eyes) - lab(b, eyes))) for a, b in combinations(codes, 2))


def scheme(name: str) -> dict[str, str]:
    """The colours of the page by their names."""
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#\w+);", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)
    )
    return light if name == "light" else light | dark


def test_contrast_and_distance_are_what_they_should_be() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21) and contrast("#777", "#fff") == pytest.approx(
        4.48, abs=0.01
    )
    assert lab("#ff0000", "normal") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert nearest(["#ff0000", "#00ff00"], "deuteranope") < 0.6 * nearest(["#ff0000", "#00ff00"], "normal")


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_stands_out_from_every_ground(name: str) -> None:
    found = scheme(name)
    low = {(text, ground): contrast(found[text], found[ground]) for text in TEXTS for ground in GROUNDS}
    assert {pair: value for pair, value in low.items() if value < LEAST_CONTRAST} == {}


@pytest.mark.parametrize(("name", "ends"), [("light", colours.LIGHT_RAMP), ("dark", colours.DARK_RAMP)])
def test_text_stands_out_from_every_level(name: str, ends: Any) -> None:
    found = scheme(name)
    for level, ground in enumerate(colours.ramp(ends), start=1):
        assert contrast(found["on-deep" if level >= FIRST_DEEP[name] else "on-pale"], ground) >= LEAST_CONTRAST


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize(
    "codes", [colours.MODELS, colours.DATASETS, ANGLES, LISTS], ids=["models", "sets", "angles", "lists"]
)
def test_what_differs_looks_different(codes: list[str], eyes: str) -> None:
    assert nearest(codes, eyes) > LEAST_DISTANCE


def on_dark_pages(code: str) -> str:
    """A figure's colour as a dark page brightens it."""
    (times,) = re.findall(r"\.drawing svg \{ filter: brightness\(([\d.]+)\); \}", STYLE)
    parts = [min(255, round(float(times) * int(code[at : at + 2], 16))) for at in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


@pytest.mark.parametrize(
    "codes", [colours.MODELS, colours.DATASETS, ANGLES, LISTS], ids=["models", "sets", "angles", "lists"]
)
def test_marks_stand_out_from_the_page_and_stay_apart_when_it_is_dark(codes: list[str]) -> None:
    brightened = [on_dark_pages(code) for code in codes]
    assert min(contrast(code, scheme("light")["card"]) for code in codes) >= LEAST_CONTRAST_OF_MARKS
    assert min(contrast(code, scheme("dark")["card"]) for code in brightened) >= LEAST_CONTRAST_OF_MARKS
    assert min(nearest(brightened, eyes) for eyes in EYES) > LEAST_DISTANCE


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("name", ["light", "dark"])
def test_base_and_tuned_differ_and_levels_go_one_way(name: str, eyes: str) -> None:
    found = scheme(name)
    assert nearest([found["base"], found["tuned"]], eyes) > LEAST_DISTANCE
    depths = [lab(code, eyes)[0] for code in colours.ramp(colours.LIGHT_RAMP if name == "light" else colours.DARK_RAMP)]
    steps = [b - a for a, b in pairwise(depths)]
    assert all(step < -5 for step in steps) if name == "light" else all(step > 5 for step in steps)
