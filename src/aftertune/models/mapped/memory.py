"""How much memory does a model take, and how much is free?  What is mapped takes none that could not be given up.

What is free is what the machine has, or the control group that the process runs in (containers, batch systems), or its
limits of address space and data, whichever is least.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import psutil
from torch import Tensor, nn

ON_DISK = "disk"  # the device of a model whose weights stay in their files
MAPPED = "is_mapped"
GROUPS = Path("/sys/fs/cgroup")
# Of either version of control groups: the limit, what is used, and what of that is only kept for reading again.
FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
T = TypeVar("T", bound=Tensor)


def mark_mapped(weight: T, mapped: bool = True) -> T:
    """The weight, known as one that lies on disk, or no longer."""
    setattr(weight, MAPPED, mapped)
    return weight


def is_mapped(weight: Tensor) -> bool:
    """Whether a weight lies on disk."""
    return getattr(weight, MAPPED, False)


def lies_on_disk(model: nn.Module) -> bool:
    """Whether any weight of a model lies on disk."""
    return any(map(is_mapped, model.parameters()))


def bytes_in_memory(model: nn.Module) -> int:
    """The bytes of a model's weights that can't be given up."""
    return sum(weight.nbytes for weight in model.parameters() if not is_mapped(weight))


def free_memory() -> int:
    """The bytes that this process can still take."""
    return max(0, min([int(psutil.virtual_memory().available), *_left_in_groups(), *_left_of_limits()]))


def _left_of_limits() -> Iterator[int]:
    if not hasattr(psutil, "RLIMIT_AS"):  # only Linux has them
        return
    process = psutil.Process()
    used = process.memory_info()
    for limit, taken in ((psutil.RLIMIT_AS, used.vms), (psutil.RLIMIT_DATA, used.data)):
        most, _ = process.rlimit(limit)
        if most != psutil.RLIM_INFINITY:
            yield int(most) - int(taken)


def _left_in_groups() -> Iterator[int]:
    """Of each control group that this process is in, what is left of its limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, place = line.split(":", 2)
        for kind in set(kinds.split(",")) & FILES.keys():
            root = GROUPS / kind
            for folder in (root / place.lstrip("/"), root):  # inside a container its own group is the root
                yield from _left_in_group(folder, *FILES[kind])


def _left_in_group(folder: Path, limit: str, usage: str, cached: str) -> Iterator[int]:
    try:
        most, used = (folder / limit).read_text().strip(), int((folder / usage).read_text())
        about = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return
    if most.isdigit():
        yield int(most) - used + int(about.get(cached, 0))
