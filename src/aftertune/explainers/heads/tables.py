"""Figure 2 and table 3 as rows that a table can show: the numbers of the lists as read, and below them the controls'.

A control repeats a row with lists from shuffled word vectors, so it stands in the same columns; ``lists`` says which
lists a row is from. What a control has no number for is left empty.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

AS_READ = "as read"
TABLE3_TESTS = (
    *("difference_interval", "p_value_holm", "p_value_permutation", "p_value_permutation_holm"),
    *("effect_size_g", "matched", "p_value_matched"),
)


def figure2_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One row for each level, layer group and kind of lists; ``excess`` is the distance as read minus the control's."""
    return [found for row in rows for found in _figure2_group(row)]


def table3_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One row for each layer group and kind of lists."""
    return [found for row in rows for found in _table3_group(row)]


def _figure2_group(row: Row) -> Iterator[dict[str, Any]]:
    names, numbers = _split(row, ("level", "layers", "pooled"))
    yield names | {"lists": AS_READ} | numbers | {"excess": None, "excess_interval": None}
    for control in row["controls"]:
        excess = {key: control[key] for key in ("excess", "excess_interval")}
        yield (
            names
            | {"lists": control["control"], "distance": _only_mean(control["distance"]), "interval": None}
            | excess
        )


def _table3_group(row: Row) -> Iterator[dict[str, Any]]:
    names, numbers = _split(row, ("layers", "pooled"))
    yield names | {"lists": AS_READ} | numbers
    for control in row["controls"]:
        means = {kind: _only_mean(control[kind]) for kind in ("instruction", "general")}
        tests = {key: control[key] for key in ("difference", "p_value")}
        yield names | {"lists": control["control"]} | means | dict.fromkeys(TABLE3_TESTS) | tests


def _split(row: Row, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a row is of, and what is known of it; its controls are left out."""
    own = {key: value for key, value in row.items() if key != "controls"}
    return {key: own[key] for key in names if key in own}, {key: own[key] for key in own if key not in names}


def _only_mean(mean: float | None) -> dict[str, Any]:
    return {"n": None, "mean": mean, "std": None}
