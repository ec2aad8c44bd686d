"""The numbers of a finding for a reader: each named in words, with its unit and its interval.

1. Names and units come from the section whose finding it is (`Section.labels`), then from the words of statistics that
   all sections share; a name that nobody explains is the key in words.
2. Left out is what was not computed, rows (a table of the section has them), and what a group's own name says. An
   interval stands behind its number, a standard deviation behind its mean.
3. A group of single numbers is one entry; a group of groups names each in full.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence, Sized
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeGuard

from aftertune.report.formats import is_number, p_value

SHARE, P_VALUE, UNIT = "share", "p", "unit"
SILENT = (UNIT, "pooled")  # how others are read; said by the name of the row
DIGITS, HUNDRED = 3, 100


class Label(NamedTuple):
    """What a number is called, and its unit: "share" (from 0 to 1, written in per cent), "p", or one written behind."""

    name: str
    unit: str = ""


Labels = Mapping[str, Label]
Group = Mapping[str, object]

SHARED = {
    "n": Label("number"),
    "n_pairs": Label("pairs of responses"),
    "n_higher": Label("of them higher in tuned"),
    "n_lower": Label("of them lower in tuned"),
    "n_base": Label("responses, base"),
    "n_tuned": Label("responses, tuned"),
    "n_prompts": Label("prompts"),
    "n_tested": Label("differences tested"),
    "n_shown": Label("of them shown"),
    "n_draws": Label("draws of noise"),
    "dataset": Label("data set"),
    "std": Label("standard deviation"),
    "p_value": Label("p", P_VALUE),
    "p_value_corrected": Label("p, corrected for all claims", P_VALUE),
    "p_value_holm": Label("p (Holm)", P_VALUE),
    "p_value_paper": Label("the paper's p", P_VALUE),
    "p_value_permutation": Label("p (permutation)", P_VALUE),
    "p_value_permutation_holm": Label("p (permutation, Holm)", P_VALUE),
    "effect_size_g": Label("effect size g", "standard deviations"),
    "detectable_effect": Label("smallest effect that would show", "standard deviations"),
}


def numbers(evidence: Group, labels: Labels) -> list[tuple[str, str]]:
    """Names and values of a finding's ``evidence``, in its order."""
    return list(_entries(evidence, SHARED | dict(labels), ()))


@cache
def read_labels(folder: Path) -> Labels:
    """The labels in ``labels.toml`` of a ``folder`` of templates: by key a name, or a name and a unit."""
    found = tomllib.loads((folder / "labels.toml").read_text("utf-8"))
    return {key: Label(one) if isinstance(one, str) else Label(*one) for key, one in found.items()}


def _entries(values: Group, labels: Labels, within: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, value in _told(values):
        label = _label(key, labels, str(values.get(UNIT, "")))
        name = ": ".join((*within, label.name))
        if _is_spread(value):
            yield name, _spread(value, label.unit)
        elif not _is_group(value):
            yield name, _written(value, label.unit) + _interval(values.get(f"{key}_interval"), label.unit)
        elif any(_is_group(one) and not _is_spread(one) for one in value.values()):
            yield from _entries(value, labels, (*within, label.name))
        else:
            own = _entries({UNIT: label.unit, **value}, labels, ())
            said = (*within, label.name)
            yield name, "; ".join(f"{told} {written}" for told, written in own if written not in said)


def _told(values: Group) -> Iterator[tuple[str, object]]:
    """What has an entry of its own: not what is missing, rows, an interval or a unit."""
    for key, value in values.items():
        of = key.removesuffix("_interval")
        is_missing = value is None or (isinstance(value, Sized) and not len(value))
        if key not in SILENT and not (of != key and of in values) and not is_missing and not _are_rows(value):
            yield key, value


def _is_group(value: object) -> TypeGuard[Group]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _are_rows(value: object) -> bool:
    return _is_list(value) and isinstance(value[0], Mapping)


def _is_spread(value: object) -> TypeGuard[Group]:
    return isinstance(value, Mapping) and set(value) == {"n", "mean", "std"}


def _label(key: str, labels: Labels, unit: str) -> Label:
    found = labels.get(key, Label(key.replace("_", " ")))
    return found if found.unit else found._replace(unit=unit)


def _written(value: object, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_list(value):
        return _listed(value, unit)
    if not is_number(value):
        return str(value)
    return p_value(value) if unit == P_VALUE else f"{_plain(value, unit)}{_sign(unit)}"


def _listed(values: Sequence[object], unit: str) -> str:
    """Values with their unit once; what is a list itself is joined by arrows."""
    plain = [_plain(one, unit) for one in values if is_number(one)]
    if len(plain) == len(values) and unit not in (SHARE, P_VALUE):
        return f"{', '.join(plain)}{_sign(unit)}"
    return ", ".join(" → ".join(map(str, one)) if _is_list(one) else _written(one, unit) for one in values)


def _plain(value: float, unit: str) -> str:
    if isinstance(value, int) and unit != SHARE:
        return f"{value:,}".replace("-", "−")
    return f"{HUNDRED * value if unit == SHARE else value:.{DIGITS}g}".replace("-", "−")


def _sign(unit: str) -> str:
    return "%" if unit == SHARE else unit if unit == "°" else f" {unit}" if unit else ""


def _interval(ends: object, unit: str) -> str:
    return f" [{', '.join(_plain(end, unit) for end in ends if is_number(end))}]" if _is_list(ends) else ""


def _spread(value: Group, unit: str) -> str:
    """Mean and standard deviation where there are several."""
    n, std = value["n"], value["std"]
    several = is_number(std) and is_number(n) and n > 1
    return _written(value["mean"], unit) + (f" ± {_plain(std, unit)}" if several and is_number(std) else "")
