"""All counts as one table; the exit code is 1 if anything was lost, doubled or false, crashed or hung.

``python -m bench.reliability``              all of it (minutes)
``python -m bench.reliability --short``      a few tries of each, as ``make test SLOW=1`` does
``python -m bench.reliability kills flips``  these modules only
"""

import argparse
import pkgutil
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

import bench.reliability
from bench.reliability.counts import KINDS, Counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="names of modules of bench/reliability; all where none is named")
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.modules, asked.short, lambda told: print(told, file=sys.stderr, flush=True))
    show(found)
    sys.exit(any(one.failures for one in found))


def measure(modules: list[str], short: bool, tell) -> list[Counts]:
    """The counts of these modules, or of all, each in an empty folder of its own."""
    found = []
    for name, count in counters().items():
        if not modules or name in modules:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix=f"reliability-{name}-") as folder:
                found += count(Path(folder), short)
            tell(f"{name}: {time.perf_counter() - started:.1f} s")
    return found


def counters() -> dict:
    """``count`` of every module that has one, by the module's name."""
    names = sorted(one.name for one in pkgutil.iter_modules(bench.reliability.__path__) if one.name != "__main__")
    modules = {name: import_module(f"bench.reliability.{name}") for name in names}
    return {name: module.count for name, module in modules.items() if hasattr(module, "count")}


def show(found: list[Counts]) -> None:
    table = Table("what", "tried", *KINDS)
    for one in found:
        table.add_row(one.what, str(one.tried), *(str(getattr(one, kind)) for kind in KINDS))
    console = Console(width=120)
    console.print(table)
    for told in (told for one in found for told in one.told):
        console.print(told, markup=False, highlight=False)


if __name__ == "__main__":
    main()
