"""What can a run take from an earlier one?  Asked once the weights of all its models have been read."""

from collections.abc import Mapping
from pathlib import Path

from aftertune.addresses import without_secrets
from aftertune.errors import RunError
from aftertune.explainers.explainer import Work
from aftertune.runs.reuse import REUSED, Taken, take_parts
from aftertune.runs.run import RunFolder


def open_earlier(address: str | Path | None, run: RunFolder) -> RunFolder | None:
    """The run to take parts from; raises `RunError` if there is none, or it is this very one."""
    if address is None:
        return None
    if str(address).rstrip("/") == run.address:
        raise RunError(f"{address} is the folder of this run, which goes on with its own parts. Leave reuse out.")
    return RunFolder.open(address)


def take_from(earlier: RunFolder, run: RunFolder, works: Mapping[str, Work]) -> None:
    """Copy what the explainers of this run would make anew, and keep in the run what was taken."""
    before, reasons = saved_taken(run), dict[str, str]()
    parts = dict(before.parts) if before else {}
    for name, work in works.items():
        if work.reusable:
            n, why = take_parts(earlier, run, work.saved_settings, work.identity, work.reusable)
            parts[name] = parts.get(name, 0) + n
            reasons |= {name: why} if why else {}
    run.remember(REUSED, Taken(without_secrets(earlier.address), parts, reasons)._asdict())


def saved_taken(run: RunFolder) -> Taken | None:
    """What a run took from another; None where it took nothing."""
    return Taken(**run.read_json(REUSED)["record"]) if run.exists(REUSED) else None
