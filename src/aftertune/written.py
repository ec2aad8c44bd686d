"""How is JSON or YAML read that someone else wrote?  Whole or not at all, and never more than can be handled.

1. What the parsers raise becomes an error of ours: impossible dates, unknown tags, integers of thousands of digits.
2. Aliases of YAML may stand for billions of values in a few lines, and for themselves: what is meant is counted first.
"""

import json
from itertools import chain
from typing import Any

import yaml
from pydantic import ValidationError

from aftertune.errors import AftertuneError, reason_of, translated

MOST_VALUES = 100_000  # a file of settings has tens; lists of layers or arguments may have hundreds
DEEPEST = 50


def parse_yaml(text: str, place: str, kind: type[AftertuneError], remedy: str) -> Any:
    """What a YAML text holds; raises ``kind`` for what is none, or holds too much."""
    with translated(kind, f"{place} can't be read", remedy):
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise kind(f"{place} is no YAML: {' '.join(str(error).split()).rstrip('.')}. {remedy}") from error
    _must_be_small(found, place, kind, remedy)
    return found


def parse_json(text: str, place: str, kind: type[AftertuneError], remedy: str) -> Any:
    """What a JSON text holds; raises ``kind`` for what is none, or holds too much."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise kind(f"{place} is no JSON: {reason_of(error)}. {remedy}") from error
    _must_be_small(found, place, kind, remedy)
    return found


def _must_be_small(value: Any, place: str, kind: type[AftertuneError], remedy: str) -> None:
    level, n_values = [value], 0
    for _ in range(DEEPEST):
        inner = [_inside(one) for one in level]
        n_values += sum(map(len, inner))
        if n_values > MOST_VALUES:  # asked before they are put together
            raise kind(f"{place} holds more than {MOST_VALUES:,} values, aliases written out. {remedy}")
        level = list(chain.from_iterable(inner))
        if not level:
            return
    raise kind(f"{place} is nested more than {DEEPEST} deep. {remedy}")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, list | tuple | set) else []


def fault_in(error: ValidationError, *above: str) -> str:
    """The first thing that is wrong with data: where it lies (below ``above``), what is there, what should be."""
    first = error.errors()[0]
    place = ".".join(map(str, (*above, *first["loc"]))) or "it"
    if first["type"] == "missing":
        return f"{place} is missing"
    said = first["msg"].removeprefix("Value error, ").replace("Input should", "which should")
    return f"{place} is {first['input']!r:.60}, {said}"
