"""One of several workers: a process that Ray started, which measures the units that are its own.

1. It uses as many threads as it was given processors.
2. For each step of the work it takes a token of the board; a step that is begun again, after it was lost, gets another.
3. What fails is told to the board. Ray then calls the step again, unless the run must end.
"""

import os
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.errors import AftertuneError, RunError, reason_of
from aftertune.runs.stage import Stage

if TYPE_CHECKING:
    from aftertune.models.machine import Machine
    from aftertune.runs.turns import Shared
    from aftertune.study.engine.process import Process

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
SECONDS_BETWEEN_TELLS = 0.2
SECONDS_TO_SEE = 40.0  # how long a shared disk may hide a new file
Tell = Callable[[Stage, float, float], None]
Plan = Sequence[Any]


class FailedError(Exception):
    """A step failed, and may be tried again."""


@dataclass(frozen=True)
class Assignment:
    """What a worker is: its number, its threads, the run's address and beginning, where paths begin, and the versions
    that it must have too.
    """

    number: int
    n_threads: int
    address: str
    beginning: str
    folder: str
    versions: dict[str, str]


class Worker:
    """Measures what the board, an actor of that name, lets it take; the ``plan`` is pickled, a reference in a list."""

    def __init__(self, assignment: Assignment, board: str) -> None:
        import ray

        for name in THREADS:  # before anything is imported that reads them
            os.environ[name] = str(assignment.n_threads)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        if Path(assignment.folder).is_dir():
            os.chdir(assignment.folder)
        self._about, self._board = assignment, ray.get_actor(board)  # a handle here would be told of as an error
        self._process: Process | None = None

    def machine(self, plan: Plan) -> "Machine":
        """How fast this worker's machine is, with its threads."""
        from aftertune.models.machine import measure_machine

        process = self._ready(plan)
        return measure_machine(process.plan.study.device, process.plan.study.dtype)

    def tell_of(self, plan: Plan, roles: Sequence[str]) -> None:
        """Hand in what a run says of the checkpoint of each role."""
        self._do(plan, lambda process: process.tell_of(roles, self._hand_in))

    def measure(self, plan: Plan, what: Any, of: Sequence[Any]) -> None:
        """Measure what is missing (`Process.measure`); raises `RunError` where the run's folder is not seen here."""

        def do(process: "Process") -> None:
            _must_see(process)
            process.measure(what, of)

        self._do(plan, do)

    def _do(self, plan: Plan, do: Callable[["Process"], None]) -> None:
        import ray

        process = self._ready(plan)
        node = ray.get_runtime_context().get_node_id()
        turns: Any = process.run.turns
        turns.begin(ray.get(self._board.begin.remote(self._about.number, node)))
        try:
            do(process)
        except AftertuneError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {reason_of(error)}"
            ending = ray.get(self._board.fail.remote(turns.token, said))
            raise (FailedError(said) if ending is None else RunError(ending)) from error
        ray.get(self._board.end.remote(turns.token))

    def _ready(self, plan: Plan) -> "Process":
        """All that is needed, made ready once."""
        if self._process is None:
            import ray

            from aftertune.models.machine import use_threads
            from aftertune.runs.address import see_files_of_others
            from aftertune.runs.run import RunFolder
            from aftertune.study.engine.process import Process

            _must_have(self._about.versions)
            use_threads(self._about.n_threads)
            see_files_of_others(self._about.address)
            run = RunFolder(self._about.address, self._about.beginning, self._turns())
            self._process = Process(pickle.loads(ray.get(plan[0])), run, self._tell(), self._about.number)
        return self._process

    def _turns(self) -> "Shared":
        from aftertune.runs.turns import Shared

        return Shared(_Asked(self._board))

    def _tell(self) -> Tell:
        """Progress that is told to the board, not too often."""
        last, own = 0.0, self._about.number

        def tell(stage: Stage, done: float, total: float) -> None:
            nonlocal last
            if done >= total or not done or time.monotonic() - last >= SECONDS_BETWEEN_TELLS:
                last = time.monotonic()
                self._board.tell.remote(own, stage, done, total)

        return tell

    def _hand_in(self, name: str, what: Any) -> None:
        import ray

        ray.get(self._board.hand_in.remote(name, what))


class _Asked:
    """The board as it is asked by a worker."""

    def __init__(self, board: Any) -> None:
        self._board = board

    def take(self, token: int, keys: Sequence[str], finished: Sequence[str]) -> Any:
        """See `Board.take`."""
        return self._ask("take", token, keys, finished)

    def are_busy(self, keys: Sequence[str]) -> Any:
        """See `Board.are_busy`."""
        return self._ask("are_busy", keys)

    def _ask(self, method: str, *given: Any) -> Any:
        import ray

        return ray.get(getattr(self._board, method).remote(*given))


def _must_have(wanted: Mapping[str, str]) -> None:
    """Raise `RunError` unless this worker has the same versions as the driver: numbers depend on them."""
    from aftertune.models.fingerprint import versions
    from aftertune.runs.parts import HOST

    other = [f"{name} {own}, not {wanted[name]}" for name, own in versions().items() if own != wanted[name]]
    if other:
        raise RunError(
            f"The worker on {HOST} has {'; '.join(other)}. Install the same versions on all machines of the cluster."
        )


def _must_see(process: "Process") -> None:
    """Raise `RunError` if the run's folder, which has begun, is not there for this worker."""
    from aftertune.runs.parts import HOST, remove_strays

    run, until = process.run, time.monotonic() + SECONDS_TO_SEE
    while not run.exists("run.json"):
        if time.monotonic() >= until:
            raise RunError(
                f"The run's folder {run.address} is not there on {HOST}, one of the workers. Give one that all "
                "machines of the cluster reach: on a shared disk, in the same place on each, or s3://..., gs://..."
            )
        time.sleep(0.5)
    remove_strays(run.address)
