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

from aftertune.errors import RunError
from aftertune.runs.identity import differences, plain
from aftertune.runs.parts import is_partial, read_sealed, write_bytes
from aftertune.runs.records import OfRun, identity_of, record_of
from aftertune.runs.roles import pairs_of, roles_of
from aftertune.runs.run import RunFolder
from aftertune.runs.seal import Place, seal_anew

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
    """A run as it will be when it has taken parts of a ``lender``, by their names there, which lie there until then."""

    lender: RunFolder | None = None
    lent: Mapping[str, str] = field(default_factory=dict)

    def path(self, *names: str) -> str:
        """The address of a file of the run, or of the one that it will be copied from."""
        own = self.lent.get("/".join(names))
        return super().path(*names) if own is None or self.lender is None else self.lender.path(own)

    def place(self, part: tuple[str, str, str], settings: Mapping[str, Any] | None = None) -> Place:
        """What the seal of a part says, there where it lies."""
        own = self.lent.get("/".join(part))
        return super().place(part, settings) if own is None or self.lender is None else self.lender.place(_part(own))


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
    version = record_of(new, "run.json", OfRun)["aftertune"]
    lent, why = lendable(old, same_roles(old, new), version, wanted)
    missing = {name: own for name, own in lent.items() if not new.exists(name)}
    return sum(_copied(old, own, new, name, wanted.identity) for name, own in missing.items()), why


def lendable(old: RunFolder, roles: Mapping[str, str], version: str, wanted: Wanted) -> tuple[dict[str, str], str]:
    """What a run can lend to one whose models have these ``roles`` there, made by this ``version`` of Aftertune.

    Returns the name of each part by its name in the new run, and why there are not more.
    """
    if not old.exists(wanted.settings):
        return {}, "not measured there"
    if record_of(old, "run.json", OfRun)["aftertune"] != version:
        return {}, "made by another version of Aftertune"
    before, found, why = identity_of(old, wanted.settings, dict[str, Any]), dict[str, str](), ""
    for kind in wanted.kinds:
        names = before.keys() | wanted.identity.keys() if kind.settings is None else kind.settings
        held, asked = ({name: one.get(name) for name in names} for one in (before, wanted.identity))
        differing = list(differences(held, asked))
        why = why or (differing[0] if differing else "")
        if not differing:
            places = [place for one in kind.places for place in _places(one, roles)]
            found |= {name: own for place in places for name, own in _parts_at(old, *place)}
    return found, why if roles else "other weights, configuration, device or versions"


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


def _parts_at(old: RunFolder, there: str, here: str) -> Iterator[tuple[str, str]]:
    """The name in the new run and in the old one of each file that matches a pattern."""
    system, path = fsspec.core.url_to_fs(old.address)
    root = path.rstrip("/")
    before, after = FILLED.sub("", there), FILLED.sub("", here)
    for found in sorted(system.glob(f"{glob.escape(root)}/{there}")):
        own = found.removeprefix(f"{root}/")
        if not is_partial(found):
            yield after + own.removeprefix(before), own


def _copied(old: RunFolder, own: str, new: RunFolder, name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a file was copied; one that is damaged, or of elsewhere, is not: it is measured."""
    if own.endswith(".json"):
        new.remember(name, old.read_json(own)["record"])
        return True
    try:
        content = read_sealed(old.path(own), old.place(_part(own)))
    except (OSError, RunError):
        return False
    with new.home():
        write_bytes(new.path(name), seal_anew(content, new.place(_part(name), plain(settings))))
    return True


def _part(name: str) -> tuple[str, str, str]:
    kind, model, file = name.rsplit("/", 2)
    return kind, model, file
