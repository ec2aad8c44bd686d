"""What can a run take from an earlier one?

1. Before the run it is foreseen from the names of checkpoints, so that the time that is told does not count it.
2. Once the weights of all models have been read, what is the same is taken.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aftertune.addresses import without_secrets
from aftertune.errors import RunError
from aftertune.explainers.explainer import Work
from aftertune.models.subject import Subject
from aftertune.runs.records import identity_of, record_of
from aftertune.runs.reuse import REUSED, ForeseenRun, Taken, Wanted, lendable, take_parts
from aftertune.runs.roles import roles_of
from aftertune.runs.run import RunFolder


def open_earlier(address: str | Path | None, run: RunFolder) -> RunFolder | None:
    """The run to take parts from; raises `RunError` if there is none, or it is this very one."""
    if address is None:
        return None
    if str(address).rstrip("/") == run.address:
        raise RunError(f"{address} is the folder of this run, which goes on with its own parts. Leave reuse out.")
    return RunFolder.open(address)


def foreseen(
    earlier: RunFolder, run: RunFolder, works: Mapping[str, Work], subjects: Mapping[str, Subject], dtype: str
) -> RunFolder:
    """The run as it will be when it has taken what it can, if checkpoints of the same name have the same weights."""
    from aftertune import __version__

    before = identity_of(earlier, "run.json", dict[str, Any])
    there = [role for role in roles_of(earlier) if _is_read_alike(earlier, role, dtype)]
    same = ((role, other) for role, one in subjects.items() for other in there if before[other] == one.identity())
    roles, lent = dict(same), dict[str, str]()
    for work in works.values():
        if work.reusable:
            lent |= lendable(earlier, roles, __version__, wanted_by(work))[0]
    missing = {name: own for name, own in lent.items() if not run.exists(name)}
    return ForeseenRun(run.address, run.beginning, lender=earlier, lent=missing)


def _is_read_alike(earlier: RunFolder, role: str, dtype: str) -> bool:
    from aftertune.models.fingerprint import FINGERPRINT_VERSION, versions

    told = record_of(earlier, f"{role}.json", dict[str, Any]) if earlier.exists(f"{role}.json") else {}
    wanted = {"dtype": dtype, "versions": versions(), "fingerprint_version": FINGERPRINT_VERSION}
    return all(told.get(name) == value for name, value in wanted.items())


def take_from(earlier: RunFolder, run: RunFolder, works: Mapping[str, Work]) -> None:
    """Copy what the explainers of this run would make anew, and keep in the run what was taken."""
    before, reasons = saved_taken(run), dict[str, str]()
    parts = dict(before.parts) if before else {}
    for name, work in works.items():
        if work.reusable:
            n, why = take_parts(earlier, run, wanted_by(work))
            parts[name] = parts.get(name, 0) + n
            reasons |= {name: why} if why else {}
    run.remember(REUSED, Taken(without_secrets(earlier.address), parts, reasons)._asdict())


def wanted_by(work: Work) -> Wanted:
    """What an explainer's work would take from another run."""
    return Wanted(work.saved_settings, work.identity, work.reusable)


def saved_taken(run: RunFolder) -> Taken | None:
    """What a run took from another; None where it took nothing."""
    return record_of(run, REUSED, Taken) if run.exists(REUSED) else None
