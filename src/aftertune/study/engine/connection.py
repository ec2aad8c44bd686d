"""A connection with Ray: a cluster of this machine alone, made and ended with it, or one that is there.

Nothing is told to anybody but the driver: no usage statistics, no logs on the terminal. A cluster of our own listens to
this machine only. One that is there is asked whether it answers before it is joined, so that nothing waits for ever.
"""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from aftertune.errors import RunError, translated

LOCAL, AUTO = "local", "auto"
ADDRESS = re.compile(r"[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")
SECONDS_TO_CONNECT, SECONDS_TO_ANSWER = 5.0, 15.0
STARTS = 2  # of Ray on this machine: the first may find no time beside other work
LEAST_STORE = 80 * 2**20  # bytes of shared memory, of which Ray wants 75 MB at least
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of what it will do one day
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # of what machines say, which else is written to standard output
}
OURS_ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it listens on all of the machine's addresses
    "RAY_AUTH_MODE": "token",  # as it is by default, where it warns of it
}


def must_be_address(address: str) -> None:
    """Raise `RunError` unless it is "local", "auto", or HOST:PORT."""
    if address.startswith("ray://"):
        raise RunError(
            f"{address} is Ray's client, from outside of a cluster. Start the command on one of the machines of the "
            "cluster, with --ray auto: by a shell there, or with ray job submit."
        )
    if address not in (LOCAL, AUTO) and not ADDRESS.fullmatch(address):
        raise RunError(
            f"{address!r} is no address of Ray. Allowed: local (this machine alone), auto (the cluster that this "
            "machine is part of), HOST:PORT."
        )


class Connection(NamedTuple):
    """The module ``ray``, connected, and the address of its dashboard, empty where there is none."""

    ray: Any
    dashboard: str = ""


@contextmanager
def connected(address: str, store_bytes: int) -> Iterator[Connection]:
    """A connection, until the context ends; one that is there already is used, and stays.

    ``store_bytes`` of shared memory are needed. Ask before whether it answers (`must_answer`): else this may wait for
    long. Raises `RunError` where Ray can't be used.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield Connection(ray)
        return
    found = _init(ray, address, store_bytes)
    try:
        yield Connection(ray, found.dashboard_url or "")
    finally:
        ray.shutdown()


def import_ray() -> Any:
    """The module ``ray``; raises `RunError` where it can't be loaded."""
    with translated(RunError, "Ray can't be loaded", "Install it (pip install 'aftertune[ray]'), or leave it out."):
        import ray
    return ray


def _init(ray: Any, address: str, store_bytes: int) -> Any:
    logging.getLogger("ray").setLevel(logging.ERROR)
    before = signal.getsignal(signal.SIGTERM)
    ours = {"address": LOCAL, "include_dashboard": False, "object_store_memory": LEAST_STORE + store_bytes}
    how = ours if address == LOCAL else {"address": address}
    what, remedy = f"Ray could not be used at {address}", "See that it runs there, in the same version."
    if address == LOCAL:
        what, remedy = f"Ray did not start on this machine in {STARTS} tries", _NOT_STARTED
    with translated(RunError, what, remedy):
        found = _started(ray, how, STARTS if address == LOCAL else 1)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray has put its own there
    return found


def _started(ray: Any, how: Mapping[str, Any], tries: int) -> Any:
    """What Ray says of itself once it is there; beside other work its start may take longer than it waits."""
    for left in reversed(range(tries)):
        try:
            return ray.init(**how, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception:
            ray.shutdown()
            if not left:
                raise
    return None


def nodes_of(ray: Any) -> list[Mapping[str, float]]:
    """What each machine of the cluster has: CPUs, GPUs, bytes of memory."""
    return [one["Resources"] for one in ray.nodes() if one["Alive"]]


def dead_nodes(ray: Any) -> list[str]:
    """The machines that were lost."""
    return [one["NodeID"] for one in ray.nodes() if not one["Alive"]]


def must_answer(address: str) -> None:
    """Raise `RunError` unless a cluster answers at an address, within a bounded time; one of our own need not."""
    known = sys.modules.get("ray")
    if address == LOCAL or (known is not None and known.is_initialized()):
        return
    if address != AUTO:
        host, _, port = address.rpartition(":")
        with translated(RunError, f"No Ray cluster answers at {address}", _REMEDY):
            socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        asked = subprocess.run(ask, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=False)
    except subprocess.TimeoutExpired:
        raise RunError(f"What listens at {address} does not answer as Ray does. {_REMEDY}") from None
    if asked.returncode:
        lines = [line.strip() for line in (asked.stderr or asked.stdout).splitlines() if line.strip()]
        raise RunError(f"No Ray cluster answers at {address}: {lines[-1] if lines else 'nothing was said'}. {_REMEDY}")


_NOT_STARTED = (
    "Beside much other work it may take longer than it waits: try again when there is less, or leave --ray out. "
    "Its own logs are in the folder ray/session_latest/logs of the folder for temporary files."
)
_REMEDY = "Start one (ray start --head), give the address that it tells, or --ray local for this machine alone."


@contextmanager
def environment(address: str) -> Iterator[None]:
    """What Ray looks for in the environment, some of it when it is imported, set as long as the context lasts."""
    values = QUIET | (OURS_ALONE if address == LOCAL else {})
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
