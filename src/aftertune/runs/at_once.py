"""Many units of work under way at once, at most so many; those under way when one fails come to their end.

What they bring is paid for: each keeps its own result before it returns, so nothing that was asked for is lost.
"""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

Unit = TypeVar("Unit", bound=Hashable)
Result = TypeVar("Result")


def do_at_once(
    do: Callable[[Unit], Result], units: Sequence[Unit], at_once: int, tell: Callable[[int], None]
) -> dict[Unit, Result]:
    """What ``do`` makes of each unit, ``at_once`` at a time; ``tell(n_done)`` is called after each.

    Raises what ``do`` raises first: then no other unit is begun.
    """
    found: dict[Unit, Result] = {}
    failed = Event()

    def guarded(unit: Unit) -> tuple[Result] | None:
        try:
            return None if failed.is_set() else (do(unit),)  # else a free thread would take the next at once
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(max(1, at_once)) as pool:
        try:
            begun = {pool.submit(guarded, unit): unit for unit in units}
            for one in as_completed(begun):
                if (result := one.result()) is not None:
                    found[begun[one]] = result[0]
                tell(len(found))
        except BaseException:
            failed.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found
