"""What of an answer is what it should be?  Whoever wrote the server, each value is looked at before it is used.

Readers raise `UnusableAnswerError` for what can't be used; what is only told besides is None where it is strange.
"""

import json
import math
from typing import Any

LONGEST_NUMBER = 20  # digits; Python refuses thousands of them, and with them the whole answer
MOST_COUNTED = 10**15
ROUNDING = 1e-3


class UnusableAnswerError(ValueError):
    """An answer that came whole as far as HTTP goes, and lacks what was asked for."""


def parse(content: bytes) -> Any:
    """JSON of any origin, in which NaN, infinities and endless numbers are null; raises `UnusableAnswerError`."""
    try:
        return json.loads(content.decode("utf-8-sig", "replace"), parse_constant=lambda _: None, parse_int=_number)
    except RecursionError:
        raise UnusableAnswerError("brackets within brackets without end") from None
    except ValueError:
        raise UnusableAnswerError("no JSON") from None


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) <= LONGEST_NUMBER else None


def mapping(value: Any) -> dict[str, Any]:
    """A mapping; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """A text whose every character can be written; raises `UnusableAnswerError` for anything else."""
    if not isinstance(value, str):
        raise UnusableAnswerError(f"{type(value).__name__} in place of a text")
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def text_or_none(value: Any) -> str | None:
    """A text that says something, or None."""
    return text(value) if isinstance(value, str) and value else None


def count_or_none(value: Any) -> int | None:
    """A count, or None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_COUNTED:
        return None
    return int(value) if value == int(value) else None


def token_id(value: Any) -> int:
    """The number of a token; raises `UnusableAnswerError` for anything else."""
    found = count_or_none(value)
    if found is None:
        raise UnusableAnswerError("something that is no token's number")
    return found


def log_probability(value: Any) -> float:
    """A finite number, not above 0 but for rounding; raises `UnusableAnswerError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnusableAnswerError("a token without its log probability")
    if not math.isfinite(value) or value > ROUNDING:
        raise UnusableAnswerError(f"a log probability of {value:g}")
    return float(value)


def choices_of(found: Any, n: int) -> list[dict[str, Any]]:
    """The answers to ``n`` texts in their order; raises `UnusableAnswerError` where one lacks, or comes twice."""
    given = mapping(found).get("choices")
    choices = {one.get("index"): one for one in given if isinstance(one, dict)} if isinstance(given, list) else {}
    if len(choices) != n or set(choices) != set(range(n)):
        raise UnusableAnswerError(f"{len(given) if isinstance(given, list) else 'no'} answers to {n} texts")
    return [choices[number] for number in range(n)]
