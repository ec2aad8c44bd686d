"""What a JSON file of a run says: its ``identity``, which must be the same to go on, and its ``record``, only kept.

A checksum of both stands beside them, so that damage is not read as another number.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import fsspec

from aftertune.runs.seal import digest

HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


def text_of(identity: Mapping[str, Any], record: Mapping[str, Any], indent: int | None = None) -> str:
    """The text of such a file."""
    told = plain({"identity": identity, "record": record})
    told["sha256"] = digest(told)
    return json.dumps(told, indent=indent, sort_keys=indent is not None, ensure_ascii=False) + "\n"


def read_told(address: str) -> dict[str, Any]:
    """``identity`` and ``record`` of such a file.

    Raises `OSError` if it can't be read, and `ValueError` if it is damaged.
    """
    from aftertune.places import MOST_BYTES

    with fsspec.open(address, "rb") as file:
        content: bytes = file.read(MOST_BYTES)
    try:
        found = json.loads(content.decode("utf-8"))
        told = {"identity": found["identity"], "record": found["record"]}
        if not all(isinstance(one, dict) for one in told.values()):
            raise ValueError("identity and record must be objects")
    except (KeyError, TypeError) as error:
        raise ValueError(f"it has no {error}" if isinstance(error, KeyError) else "it is no object") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if found.get("sha256", digest(told)) != digest(told):
        raise ValueError("its checksum does not fit")
    return told


def is_told(address: str) -> bool:
    """Whether such a file is there, without damage."""
    try:
        read_told(address)
    except (OSError, ValueError):
        return False
    return True


def plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two identities, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from differences(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif before != now:
        yield f"{name} was {_show(before)}, is now {_show(now)}"


def _show(value: Any) -> str:
    if value is None:
        return "not set"
    # The first twelve digits of a fingerprint tell it from any other.
    return HEXADECIMAL.sub(lambda digits: f"{digits[0][:12]}...", json.dumps(value, ensure_ascii=False))
