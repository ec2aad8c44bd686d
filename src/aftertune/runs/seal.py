"""Is a Parquet file what was written, and is it of this place?  What it was made with, and a checksum of all its bytes.

The seal is a text of fixed length among the key-value metadata of the file's footer, which any reader passes over:
``address`` (where the part lies in its run), ``made_with`` (a digest of the settings and weights that it depends on)
and ``sha256``, taken over all bytes of the file with zeros in place of itself.

1. The file is written with zeros, then the checksum is put in their place.
2. The checksum is looked at before any decoder sees the file, so that damage can't reach one.
3. Then address and ``made_with`` are held against what the run expects there. The file of a single result has neither.

It is a guard against damage and mistakes, not against forgers, who can compute a checksum too.
"""

import hashlib
import json
import re
from typing import NamedTuple

KEY = "aftertune"
ZEROS = "0" * 64
WIDTH = 512  # as long for every address, so that a part can be sealed anew for another place
PATTERN = re.compile(
    rb'\{"address": "(?:[^"\\]|\\.)*", "made_with": "[0-9a-f]*", "sha256": "(?P<sha256>[0-9a-f]{64})"\} *'
)


class Place(NamedTuple):
    """Where a part lies in its run, and a digest of what it is made with there; both are empty for a single result."""

    address: str = ""
    made_with: str = ""


def unsealed(place: Place) -> dict[str, str]:
    """The metadata with which a file is written that `seal` takes."""
    return {KEY: json.dumps({**place._asdict(), "sha256": ZEROS}).ljust(WIDTH)}


def seal(content: bytes) -> bytes:
    """The bytes of a file that was written with `unsealed`, with their checksum."""
    start, end = _where(content)
    return content[:start] + _sha256(content, start, end) + content[end:]


def seal_anew(content: bytes, place: Place) -> bytes:
    """The bytes of a sealed file, sealed for another place; nothing else of it changes."""
    found, now = _find(content), unsealed(place)[KEY].encode()
    if found is None or len(now) != WIDTH:
        raise ValueError(f"{place.address} has no room for a seal")
    return seal(content[: found.start()] + now + content[found.start() + WIDTH :])


def damage(content: bytes) -> str | None:
    """What is wrong with the bytes of a sealed file, in words; None if they are what was written."""
    if not content:
        return "is empty"
    if _find(content) is None:
        return "has no checksum: it is damaged, or not written by this version of Aftertune"
    start, end = _where(content)
    return None if content[start:end] == _sha256(content, start, end) else "is damaged: its checksum does not fit"


def stranger(content: bytes, place: Place) -> str | None:
    """Why a file without damage can't be the part of a place, in words; None if it is."""
    found = _find(content)
    told = json.loads(found[0]) if found else {}
    if told.get("address") != place.address:
        return f"is the part {told.get('address')!r} of a run, not of this place; take it away"
    is_other = place.made_with and told.get("made_with") != place.made_with
    return "was made with other settings or weights; take it away" if is_other else None


def digest(told: object) -> str:
    """The SHA-256 of something plain."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()


def _find(content: bytes) -> re.Match[bytes] | None:
    """The seal, the last thing of its kind: a text of the table may look like one, but stands before the footer."""
    start = content.rfind(b'{"address": "')
    return PATTERN.match(content, start) if start >= 0 else None


def _where(content: bytes) -> tuple[int, int]:
    found = _find(content)
    if found is None:
        raise ValueError("a file that was written without room for a checksum")
    return found.span("sha256")


def _sha256(content: bytes, start: int, end: int) -> bytes:
    view = memoryview(content)
    found = hashlib.sha256(view[:start])
    found.update(ZEROS.encode())
    found.update(view[end:])
    return found.hexdigest().encode()
