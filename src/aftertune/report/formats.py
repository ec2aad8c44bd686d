"""How is each kind of number written: in plain text, in LaTeX and in HTML?

Means stand with their standard deviation as in the paper (1.1302±0.54), p-values below 0.001 in scientific form;
a number that could not be computed is a dash. Angles are written in degrees and shares from 0 to 1 in per cent, without
the sign, which stands in the heading. One table of formats per medium, with the same kinds in each.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeGuard

from markupsafe import Markup, escape

DASH = "–"
SMALL_P = 1e-3
LEAST_P = 1e-300

LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "→": r"$\rightarrow$",
    "−": "$-$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "κ": r"$\kappa$",
    "α": r"$\alpha$",
    "ρ": r"$\rho$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
MINUS = re.compile(r"(?<!\w)-(?=\d)")
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>|&~#])")

Kind = Literal[
    "text",
    "count",
    "flag",
    "number",
    "change",
    "spread",
    "interval",
    "p",
    "degrees_spread",
    "degrees_interval",
    "share_spread",
    "percent",
    "percent_change",
    "percent_spread",
    "percent_interval",
]
Format = Callable[[Any], str]


class Spread(Protocol):
    """Number, mean and standard deviation, as `aftertune.statistics.spread.Spread` has them."""

    @property
    def n(self) -> int | None:
        """How many."""

    @property
    def mean(self) -> float | None:
        """Their mean."""

    @property
    def std(self) -> float | None:
        """Their standard deviation."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether there is a finite number to write."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A number with so many decimals; a dash where there is none."""
    return f"{value:{'+' if signed else ''}.{digits}f}" if is_number(value) else DASH


def spread(value: Spread | None) -> str:
    """Mean and standard deviation as the paper writes them, 1.1302±0.54."""
    if value is None or not is_number(value.mean):
        return DASH
    return f"{number(value.mean, 4)}±{number(value.std, 2)}"


def interval(value: Sequence[float] | None, digits: int = 3) -> str:
    """An interval, [0.100, 0.250]."""
    if value is None or not all(is_number(end) for end in value):
        return DASH
    return f"[{number(value[0], digits)}, {number(value[1], digits)}]"


def degrees_spread(value: Spread | None) -> str:
    """Mean angle and standard deviation in degrees, 12.34±3.21."""
    if value is None or not is_number(value.mean):
        return DASH
    deviation = f"±{number(value.std, 2)}" if is_number(value.std) else ""
    return f"{number(value.mean, 2)}{deviation}"


def share_spread(value: Spread | None) -> str:
    """Mean share and standard deviation in per cent, 65.96±26.96, without the number behind them."""
    if value is None or not is_number(value.mean):
        return DASH
    return f"{percent(value.mean)}{f'±{percent(value.std)}' if is_number(value.std) else ''}"


def percent(value: float | None, signed: bool = False) -> str:
    """A share in per cent, 65.96."""
    return number(100 * value, 2, signed) if is_number(value) else DASH


def percent_spread(value: Spread | None) -> str:
    """Mean share and standard deviation in per cent, and the number behind them where known, 65.96±26.96 (21)."""
    written = share_spread(value)
    return f"{written} ({value.n})" if value is not None and written != DASH and value.n is not None else written


def percent_interval(value: Sequence[float] | None) -> str:
    """An interval of shares in per cent, [1.25, 31.40]."""
    if value is None or not all(is_number(end) for end in value):
        return DASH
    return interval([100 * end for end in value], 2)


def p_value(value: float | None) -> str:
    """A p-value: 0.0382, or 1.9e-5 below 0.001, or <1e-300."""
    if not is_number(value):
        return DASH
    if value >= SMALL_P:
        return f"{value:.4f}"
    if value < LEAST_P:
        return "<1e-300"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def count(value: int | None) -> str:
    """A whole number, or a dash."""
    return str(value) if value is not None else DASH


def yes_no(value: bool | None) -> str:
    """Yes or no, or a dash where it is not known."""
    return DASH if value is None else "yes" if value else "no"


def text(value: object) -> str:
    """A text, or a dash."""
    return DASH if value is None else str(value)


PLAIN: dict[Kind, Format] = {
    "text": text,
    "count": count,
    "flag": yes_no,
    "number": number,
    "change": lambda value: number(value, signed=True),
    "spread": spread,
    "interval": interval,
    "p": p_value,
    "degrees_spread": degrees_spread,
    "degrees_interval": lambda value: interval(value, 2),
    "share_spread": share_spread,
    "percent": percent,
    "percent_change": lambda value: percent(value, signed=True),
    "percent_spread": percent_spread,
    "percent_interval": percent_interval,
}
SPREADS: tuple[Kind, ...] = ("spread", "degrees_spread", "share_spread", "percent_spread")


def latex_text(value: object) -> str:
    """Text in which LaTeX's own signs are written out."""
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in text(value)).replace("\n", " ")


def latex_p(value: float | None) -> str:
    """A p-value as a formula, $1.9\\times10^{-5}$."""
    plain = p_value(value)
    if "e" not in plain:
        return latex_text(plain)
    mantissa, exponent = plain.lstrip("<").split("e")
    return f"${'<' if plain.startswith('<') else ''}{mantissa}\\times10^{{{exponent}}}$"


def latex_of(write: Format) -> Format:
    """How a kind of number is written in LaTeX: a true minus, and its own sign before a standard deviation."""
    return lambda value: MINUS.sub("$-$", latex_text(write(value))).replace("±", r"$\pm$")


def latex_change(plain: str) -> str:
    """A written signed number with a true minus."""
    return latex_text(plain) if plain == DASH else f"${plain}$"


LATEX: dict[Kind, Format] = {kind: latex_of(write) for kind, write in PLAIN.items()} | {
    "text": latex_text,
    "p": latex_p,
    "change": lambda value: latex_change(PLAIN["change"](value)),
    "percent_change": lambda value: latex_change(PLAIN["percent_change"](value)),
}


def markdown_text(value: object) -> str:
    """Text in which Markdown's own signs are escaped, on one line."""
    return MARKDOWN_SIGNS.sub(r"\\\1", text(value)).replace("\n", " ")


MARKDOWN: dict[Kind, Format] = PLAIN | {"text": markdown_text, "p": lambda value: p_value(value).replace("<", "\\<")}


def html_p(value: float | None) -> Markup:
    """A p-value with a raised exponent."""
    plain = p_value(value)
    if "e" not in plain:
        return escape(plain)
    mantissa, exponent = plain.lstrip("<").split("e")
    sign = Markup("&lt;&#8239;") if plain.startswith("<") else ""
    return Markup("{}{}&#8239;×&#8239;10<sup>{}</sup>").format(sign, mantissa, exponent.replace("-", "−"))


def html_spread(write: Format) -> Format:
    """How a mean and standard deviation are written, with room around the sign."""
    return lambda value: write(value).replace("±", " ± ")


HTML: dict[Kind, Format] = PLAIN | {kind: html_spread(PLAIN[kind]) for kind in SPREADS}
HTML |= {
    "p": html_p,
    "change": lambda value: number(value, signed=True).replace("-", "−"),
    "interval": lambda value: interval(value).replace("-", "−"),
    "percent_change": lambda value: PLAIN["percent_change"](value).replace("-", "−"),
    "percent_interval": lambda value: percent_interval(value).replace("-", "−"),
}
