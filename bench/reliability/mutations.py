"""From a valid file to many that are not: seeded, so that whatever fails can be made again."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

# What parsers trip over, put in anywhere.
TOKENS = (
    *(b"[", b"{", b'"', b"'", b",", b":", b"\n", b"\0", b"\xff", b"\xed\xa0\x80", b"&a ", b"*a", b"!!int ", b"#", b"-"),
    *(b"null", b"true", b"NaN", b"-1", b"1e999", b"0", b"9" * 40, b"9" * 5000, b"[" * 3000, b'{"a":' * 3000),
    *(
        b"\\ud800",
        b"2024-13-45",
        b"{% for a in range(9) %}",
        b"{{ a.b.c }}",
        b"x" * 70_000,
        b"\xff" * 7 + b"\x7f",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**9, 10**30, 1.5, float("nan")),
    *("", "x", "\ud800", [], {}, [[]], {"a": 1}),
)


def bytes_of(sample: bytes, random: Random) -> bytes:
    """A sample with one to four faults."""
    content = bytearray(sample)
    for _ in range(random.randint(1, 4)):
        FAULTS[random.randrange(len(FAULTS))](content, random)
    return bytes(content)


def json_of(sample: Any, random: Random) -> Any:
    """Plain data with one value of another type, or one key less or more."""
    found = json.loads(json.dumps(sample))
    owner, key = random.choice(list(_places(found)) or [({"": found}, "")])
    way = random.randrange(4)
    if way == 0 and isinstance(owner, dict):
        del owner[key]
    elif way == 1 and isinstance(owner, list):
        owner.append(random.choice(VALUES))
    else:
        owner[key] = random.choice(VALUES)
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _flip(content: bytearray, random: Random) -> None:
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def _cut(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content) + 1)
    del content[start : start + random.choice((1, 2, 8, 64, len(content)))]


def _put(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content) + 1)
    content[start:start] = random.choice(TOKENS)


def _repeat(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content) + 1)
    content[start:start] = content[start : start + random.randrange(1, 200)] * random.choice((1, 2, 50))


def _number(content: bytearray, random: Random) -> None:
    """Another number in the place of eight bytes, as headers hold them."""
    start = random.randrange(max(1, len(content) - 8))
    content[start : start + 8] = random.choice((2**63 - 1, 2**40, 2**31, 0)).to_bytes(8, "little")


FAULTS = (_flip, _flip, _cut, _put, _put, _repeat, _number)
