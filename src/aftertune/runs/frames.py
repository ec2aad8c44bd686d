"""How do rows that hold means and intervals become a flat data frame?

1. What is nested stands in columns of its own, joined by an underscore: the mean of ``base`` is ``base_mean``.
2. An interval has two, ``..._low`` and ``..._high``; other numbers in a row are counted from 1.

Columns and their types come from the type of the rows, so that they are there whatever the values are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import polars as pl

TYPES: dict[Any, Any] = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
ENDS = ("low", "high")
Cells = Iterator[tuple[str, Any]]


def frame_of(rows: Sequence[Any], kind: type | None = None) -> pl.DataFrame:
    """The rows, all dataclasses of one ``kind``, as a frame; without ``kind`` columns come from the values alone."""
    found = [dict(_cells(row if isinstance(row, Mapping) else asdict(row))) for row in rows]
    if kind is None:
        return pl.DataFrame(found, infer_schema_length=None)
    schema = dict(_columns(kind))
    return pl.DataFrame([[row.get(name) for name in schema] for row in found], schema=schema, orient="row")


def _columns(kind: Any, prefix: str = "") -> Cells:
    hints = get_type_hints(kind)
    for field in fields(kind):
        yield from _column(hints[field.name], f"{prefix}{field.name}")


def _column(hint: Any, name: str) -> Cells:
    hint = next(one for one in get_args(hint) if one is not type(None)) if isinstance(hint, UnionType) else hint
    hint = type(get_args(hint)[0]) if get_origin(hint) is Literal else hint
    if is_dataclass(hint):
        yield from _columns(hint, f"{name}_")
    elif get_origin(hint) is tuple and Ellipsis in get_args(hint):
        yield name, pl.List(TYPES[get_args(hint)[0]])
    elif get_origin(hint) is tuple:
        yield from (
            (f"{name}_{part}", TYPES[one]) for part, one in zip(_parts(name, hint), get_args(hint), strict=True)
        )
    else:
        yield name, TYPES[hint]


def _cells(row: Mapping[str, Any], prefix: str = "") -> Cells:
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _cells(value, f"{name}_")
        elif isinstance(value, tuple) and not all(isinstance(one, str) for one in value):
            yield from ((f"{name}_{part}", one) for part, one in zip(_parts(name, value), value, strict=True))
        elif value is None and name.endswith("interval"):
            yield from ((f"{name}_{end}", None) for end in ENDS)
        else:
            yield name, value


def _parts(name: str, values: Any) -> Sequence[str]:
    n_values = len(values if isinstance(values, tuple) else get_args(values))
    return ENDS if name.endswith("interval") else [str(number) for number in range(1, n_values + 1)]
