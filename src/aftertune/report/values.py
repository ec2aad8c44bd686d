"""Plain values in words: the settings of a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from aftertune.report.formats import DASH, is_number, p_value

Chart = dict[str, Any]  # a Vega-Lite specification with its data in it


def flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as (name, value) with names in words, joined by a dot."""
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name} · ")
        else:
            yield name, value


def describe(value: object, name: str = "") -> str:
    """A value as a reader wants it: p-values as such, other fractions with three significant digits, lists joined."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        joined = ", ".join(describe(item) for item in value)
        return f"[{joined}]" if "interval" in name and value else joined or "none"
    if isinstance(value, float) and is_number(value):
        return p_value(value) if name.split(" · ")[-1].startswith("p value") else f"{value:.3g}"
    return str(value)


def listed(names: list[str]) -> str:
    """Names joined by commas and "and"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
