"""Which checkpoints does a run hold, what are they called, and which of them are compared?

A run of one checkpoint holds the role "model". One of several holds "base", "tuned", "tuned-2" and so on, in the order
of their training. Each is compared with its predecessor, and with the base.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from aftertune.runs.records import Fingerprint, identity_of, model_record, record_of
from aftertune.runs.run import RunFolder

MODEL, BASE, TUNED = "model", "base", "tuned"


class Pair(NamedTuple):
    """Two roles (or two names of models), the earlier one first."""

    base: str
    tuned: str


def role_names(n_checkpoints: int) -> tuple[str, ...]:
    """The roles of so many checkpoints that are compared: "base", "tuned", "tuned-2"..."""
    return (BASE, TUNED, *(f"{TUNED}-{number}" for number in range(2, n_checkpoints)))[:n_checkpoints]


def roles_of(run: RunFolder) -> tuple[str, ...]:
    """The roles in a run, in their order; ("model",) where it holds one checkpoint."""
    held = identity_of(run, "run.json", dict[str, dict[str, Any]])
    n_tuned = sum(key == TUNED or key.startswith(f"{TUNED}-") for key in held)
    return role_names(1 + n_tuned) if BASE in held else (MODEL,)


def pairs_of(roles: Sequence[str]) -> list[Pair]:
    """Each with its predecessor, and with the first where that is another, in the order of the later one."""
    found = [Pair(roles[0], roles[1])] if len(roles) > 1 else []
    for before, now in pairwise(roles[1:]):
        found += [Pair(before, now), Pair(roles[0], now)]
    return found


NAMES = "names.json"


def display_names(folder: RunFolder) -> dict[str, str]:
    """A name for each role: the one given last, else the checkpoint's own; models of one name carry their roles."""
    given = record_of(folder, NAMES, dict[str, str | None]) if folder.exists(NAMES) else {}
    names = {role: given.get(role) or model_record(folder, role)["name"] for role in roles_of(folder)}
    times = Counter(names.values())
    return {role: name if times[name] == 1 else f"{name} ({role})" for role, name in names.items()}


def is_same(run: RunFolder, pair: Pair) -> bool:
    """Whether no weight differs between the models of a pair."""
    return len({identity_of(run, f"{role}.json", Fingerprint)["fingerprint"] for role in pair}) == 1


def server_of(run: RunFolder, role: str) -> str | None:
    """The address of the server through which the model of a role was asked; None for a checkpoint."""
    return model_record(run, role).get("server")
