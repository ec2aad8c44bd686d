"""How long may code of unknown origin run?  A chat template comes with a checkpoint, and one that never ends must not
keep whoever reads it.

It runs in a thread of its own. One that is not done in time is stopped: an exception is raised in it, which a loop of
Python sees at its next step (https://docs.python.org/3/c-api/init.html, PyThreadState_SetAsyncExc).
"""

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class _Stopped(SystemExit):  # no template can catch it, and a thread that ends with it says nothing
    pass


def run_within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns; raises what it raises, and `TimeoutError` if it has not ended after so many seconds."""
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # of whatever kind: it is raised where it was asked for
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Stopped))
        raise TimeoutError
    if raised:
        raise raised[0]
    return returned[0]
