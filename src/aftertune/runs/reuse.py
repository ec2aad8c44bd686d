"""Which parts of an earlier run are those that this one would make?  They are copied, so that each run stands alone.

A part is taken if all that it depends on is the same in both runs:
1. Of each model of it: weights, configuration and tokenizer, dtype, device, and the versions that read them.
2. The settings of its explainer, those that this kind of part depends on.
What else a run says of itself (names, settings, what is shown) it writes anew; so what is taken equals what would have
been measured. A run that does not say all of this, since it is of an earlier version, gives nothing.
"""

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import fsspec

from aftertune.runs.parts import is_partial, replacing
from aftertune.runs.records import OfRun, identity_of, record_of
from aftertune.runs.roles import pairs_of, roles_of
from aftertune.runs.run import RunFolder, differences

SAME = ("fingerprint", "configuration", "dtype", "device", "versions")
REUSED = "reused.json"
FILLED = re.compile(r"[*\[].*")


class Reusable(NamedTuple):
    """Kinds of parts of an explainer, by where they lie, and the settings that they depend on: by default all.

    A place is a pattern below the run's folder, with {role}, or with {base} and {tuned}: "heads/pairs/{role}/*".
    """

    places: tuple[str, ...]
    settings: tuple[str, ...] | None = None


class Taken(NamedTuple):
    """What was taken from the run at ``address``: how many parts by explainer, and why others were not."""

    address: str
    parts: Mapping[str, int]
    reasons: Mapping[str, str]

    def __str__(self) -> str:
        found = ", ".join(f"{name} ({n} {'part' if n == 1 else 'parts'})" for name, n in self.parts.items() if n)
        why = "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())
        return f"Taken from {self.address}: {found or 'nothing'}{f'. Not taken: {why}' if why else ''}."


def same_roles(old: RunFolder, new: RunFolder) -> dict[str, str]:
    """The role in ``old`` of each model of ``new`` that is the same there; models that are not are left out."""
    there = {role: _told(old, role) for role in roles_of(old) if old.exists(f"{role}.json")}
    found = {}
    for role in roles_of(new):
        own = _told(new, role)
        same = next((other for other, about in there.items() if about == own and None not in own), None)
        if same is not None:
            found[role] = same
    return found


def take_parts(
    old: RunFolder, new: RunFolder, settings: str, identity: Mapping[str, Any], kinds: Sequence[Reusable]
) -> tuple[int, str]:
    """Copy what ``old`` has of these kinds and ``new`` lacks; returns how many parts, and why there are not more.

    ``settings`` is the file that keeps the explainer's ``identity``. Raises `RunError` if a part can't be written.
    """
    if not old.exists(settings):
        return 0, "not measured there"
    if record_of(old, "run.json", OfRun) != record_of(new, "run.json", OfRun):
        return 0, "made by another version of Aftertune"
    roles, before, n_taken, why = same_roles(old, new), identity_of(old, settings, dict[str, Any]), 0, ""
    for kind in kinds:
        names = before.keys() | identity.keys() if kind.settings is None else kind.settings
        held, asked = ({name: one.get(name) for name in names} for one in (before, identity))
        differing = list(differences(held, asked))
        why = why or (differing[0] if differing else "")
        if not differing:
            n_taken += sum(_copied(old, new, *place) for one in kind.places for place in _places(one, roles))
    return n_taken, why if roles else "other weights, configuration, device or versions"


def _told(run: RunFolder, role: str) -> list[Any]:
    record = record_of(run, f"{role}.json", dict[str, Any])
    return [record.get(name) for name in SAME]


def _places(pattern: str, roles: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A pattern as it is in the old run and in the new one, for each role or pair of roles that is in both."""
    if "{role}" in pattern:
        yield from ((pattern.format(role=roles[role]), pattern.format(role=role)) for role in roles)
        return
    for base, tuned in pairs_of(list(roles)):
        yield pattern.format(base=roles[base], tuned=roles[tuned]), pattern.format(base=base, tuned=tuned)


def _copied(old: RunFolder, new: RunFolder, there: str, here: str) -> int:
    """How many files were copied from one pattern to the other; what is there already stays."""
    system, path = fsspec.core.url_to_fs(old.address)
    root = path.rstrip("/")
    before, after, n_copied = FILLED.sub("", there), FILLED.sub("", here), 0
    for found in sorted(system.glob(f"{glob.escape(root)}/{there}")):
        name = after + found.removeprefix(f"{root}/{before}")
        if is_partial(found) or new.exists(name):
            continue
        with system.open(found, "rb") as source, replacing(new.path(name)) as file:
            while block := source.read(2**24):
                file.write(block)
        n_copied += 1
    return n_copied
