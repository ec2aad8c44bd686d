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
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import fsspec

from aftertune.runs.parts import is_partial, replacing
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


class Wanted(NamedTuple):
    """What an explainer would take: parts of these ``kinds``, made with its ``identity``, kept in ``settings``."""

    settings: str
    identity: Mapping[str, Any]
    kinds: Sequence[Reusable]


@dataclass(frozen=True)
class ForeseenRun(RunFolder):
    """A run as it will be when it has taken parts of another, which lie at their ``lent`` addresses until then."""

    lent: Mapping[str, str] = field(default_factory=dict)

    def path(self, *names: str) -> str:
        """The address of a file of the run, or of the one that it will be copied from."""
        return self.lent.get("/".join(names)) or super().path(*names)


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


def take_parts(old: RunFolder, new: RunFolder, wanted: Wanted) -> tuple[int, str]:
    """Copy what ``old`` has of what is wanted and ``new`` lacks; returns how many parts, and why there are not more.

    Raises `RunError` if a part can't be written.
    """
    version = new.read_json("run.json")["record"]["aftertune"]
    lent, why = lendable(old, same_roles(old, new), version, wanted)
    taken = {name: address for name, address in lent.items() if not new.exists(name)}
    for name, address in taken.items():
        _copy(address, new.path(name))
    return len(taken), why


def lendable(old: RunFolder, roles: Mapping[str, str], version: str, wanted: Wanted) -> tuple[dict[str, str], str]:
    """What a run can lend to one whose models have these ``roles`` there, made by this ``version`` of Aftertune.

    Returns the address of each part by its name in the new run, and why there are not more.
    """
    if not old.exists(wanted.settings):
        return {}, "not measured there"
    if old.read_json("run.json")["record"]["aftertune"] != version:
        return {}, "made by another version of Aftertune"
    before, found, why = old.read_json(wanted.settings)["identity"], dict[str, str](), ""
    for kind in wanted.kinds:
        names = before.keys() | wanted.identity.keys() if kind.settings is None else kind.settings
        held, asked = ({name: one.get(name) for name in names} for one in (before, wanted.identity))
        differing = list(differences(held, asked))
        why = why or (differing[0] if differing else "")
        if not differing:
            places = [place for one in kind.places for place in _places(one, roles)]
            found |= {name: address for place in places for name, address in _parts_at(old, *place)}
    return found, why if roles else "other weights, configuration, device or versions"


def _told(run: RunFolder, role: str) -> list[Any]:
    record = run.read_json(f"{role}.json")["record"]
    return [record.get(name) for name in SAME]


def _places(pattern: str, roles: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A pattern as it is in the old run and in the new one, for each role or pair of roles that is in both."""
    if "{role}" in pattern:
        yield from ((pattern.format(role=roles[role]), pattern.format(role=role)) for role in roles)
        return
    for base, tuned in pairs_of(list(roles)):
        yield pattern.format(base=roles[base], tuned=roles[tuned]), pattern.format(base=base, tuned=tuned)


def _parts_at(old: RunFolder, there: str, here: str) -> Iterator[tuple[str, str]]:
    """The name in the new run and the address of each file that matches a pattern."""
    system, path = fsspec.core.url_to_fs(old.address)
    root = path.rstrip("/")
    before, after = FILLED.sub("", there), FILLED.sub("", here)
    for found in sorted(system.glob(f"{glob.escape(root)}/{there}")):
        name = found.removeprefix(f"{root}/")
        if not is_partial(found):
            yield after + name.removeprefix(before), old.path(name)


def _copy(source: str, target: str) -> None:
    with fsspec.open(source, "rb") as opened, replacing(target) as file:
        while block := opened.read(2**24):
            file.write(block)
