"""Can a run lie at an address?  Asked before anything is read or written there."""

from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from aftertune.errors import RunError, translated

STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl"})
READ_ONLY = frozenset({"http", "https", "zip", "tar", "libarchive", "github", "git", "data"})
REMEDY = "Give a folder, or an address that fsspec can reach and write to."


def must_be_usable(address: str | Path, writing: bool = False) -> None:
    """Raise `RunError` for an address that leads nowhere: of no known kind, its package missing, or not reachable.

    With ``writing`` also for kinds of addresses that can only be read.
    """
    if not str(address).rstrip("/").strip():
        raise RunError(f"The run's folder {str(address)!r} is the whole disk, or nothing. {REMEDY}")
    see_files_of_others(address)
    with translated(RunError, f"The run's folder {str(address)!r} can't be used", REMEDY):
        system, path = fsspec.core.url_to_fs(str(address))
        if isinstance(system, LocalFileSystem):
            Path(path).expanduser().exists()  # which too long a name can't be asked
            return
        kinds = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
        if writing and kinds & READ_ONLY:
            raise ValueError(f"nothing can be written to {min(kinds)} addresses")
        system.exists(path)


def see_files_of_others(address: str | Path) -> None:
    """Let an object store be asked each time: what fsspec remembers of a folder lacks what other processes write."""
    kind, mark, _ = str(address).partition("://")
    if mark and kind in STORES:
        fsspec.config.conf.setdefault(kind, {})["use_listings_cache"] = False
