"""How much memory did this process hold at most?"""

from pathlib import Path


def peak_mib() -> float:
    """Most memory that this process held; the kernel's rusage would count that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
