"""Writing while the next thing is computed: one write at a time, in a thread of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

Write = Callable[[], None]


@contextmanager
def written_behind() -> Iterator[Callable[[Write], None]]:
    """A function that starts a write, once the one before has ended; the last one ends with the context.

    What a write raises is raised where the next one is started, or at the end. If what stands in the context fails or
    is interrupted, a write that has begun still comes to its end.
    """
    last: list[Future[None]] = []

    def start(write: Write) -> None:
        for before in last:
            before.result()
        last[:] = [pool.submit(write)]

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield start
        for write in last:
            write.result()
