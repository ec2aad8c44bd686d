"""Workers on Ray: each an actor that holds checkpoints, takes units from the board, and is begun again when it is lost.

1. Ray places them by processors, GPUs and memory, begins them again elsewhere, and calls again what they did not end.
2. A step is through when one worker comes to its end: it ends only when all units are done, whoever did them.
3. Where Ray says that a machine is gone, what its workers held is given to others at once.
"""

import importlib.util
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aftertune.errors import AftertuneError, RunError, reason_of, translated
from aftertune.runs.disk import local_path
from aftertune.runs.stage import Progress, Stage
from aftertune.study.engine.board import Board, ReplacedError
from aftertune.study.engine.connection import (
    LOCAL,
    Connection,
    connected,
    dead_nodes,
    environment,
    import_ray,
    must_answer,
    must_be_address,
    nodes_of,
)
from aftertune.study.engine.process import Plan, What
from aftertune.study.engine.room import CPU, MEMORY, Room, find_room, gpus_of_worker
from aftertune.study.engine.worker import Assignment, FailedError, Worker
from aftertune.study.intent import Intent, Means

if TYPE_CHECKING:
    from aftertune.runs.run import RunFolder

LOG = logging.getLogger(__name__)  # without a handler of the caller's, Python writes warnings to standard error
POLL, SECONDS_BETWEEN_NODES = 0.2, 2.0
STARTING = Stage("workers", step="loading")  # nothing has begun yet


@dataclass(frozen=True)
class RayEngine:
    """Measures with workers on Ray.

    ``address`` is "local" for this machine alone, "auto" for the cluster that it is part of, or HOST:PORT of one.
    ``workers`` is their number, by default as many as have room. Raises `RunError` for what is not allowed, and where
    Ray is not installed.
    """

    address: str = LOCAL
    workers: int | None = None

    def __post_init__(self) -> None:
        must_be_address(self.address)
        if self.workers is not None and self.workers < 1:
            raise RunError(f"There can't be {self.workers} workers. Give 1 or more, or none for as many as have room.")
        if importlib.util.find_spec("ray") is None:
            raise RunError("Ray is not installed. Install it (pip install 'aftertune[ray]'), or leave --ray out.")

    @property
    def text(self) -> str:
        """What is told of it before it is there."""
        n = "as many workers as have room" if self.workers is None else f"{self.workers} workers"
        return f"{n}, being started on Ray ({self.address})"

    def must_answer(self) -> None:
        """Raise `RunError` where no cluster answers at the address."""
        with environment(self.address):
            must_answer(self.address)

    @contextmanager
    def crew(self, plan: Plan, run: "RunFolder", intent: Intent, progress: Progress) -> Iterator["RayCrew"]:
        """The workers, until the context ends; raises `RunError` where there can't be any."""
        with ExitStack() as stack:
            stack.enter_context(environment(self.address))
            packed = _packed(plan)
            connection = stack.enter_context(connected(self.address, 2 * len(packed)))
            nodes = nodes_of(connection.ray)
            n_gpus = gpus_of_worker(plan.study.device, nodes)
            room = find_room(nodes, self.workers, n_gpus, bytes_of_worker(intent, nodes, n_gpus))
            workers = RayCrew(connection, room, run, packed, progress)
            try:
                workers.start()
                yield workers
            finally:
                workers.stop()


class RayCrew:
    """The workers of one study, and their board."""

    def __init__(self, connection: Connection, room: Room, run: "RunFolder", packed: bytes, progress: Progress) -> None:
        self._ray, self._dashboard = connection
        ray = connection.ray
        self._room, self._run, self._progress = room, run, progress
        self._packed = ray.put(packed)
        self._name = f"aftertune-board-{uuid4().hex}"
        self._board = _made(ray, Board, num_cpus=0, scheduling_strategy=_here(ray), name=self._name).remote()
        self._workers: dict[int, Any] = {}
        self._handed_in: dict[str, Any] = {}
        self._gone: set[str] = set()
        self._reason, self._looked = "", 0.0
        self.means: Means | None = None

    def start(self) -> None:
        """Have the workers made, and wait until one of them is ready."""
        for name in ("tell_of", "measure"):
            self._ray.method(retry_exceptions=[FailedError, ReplacedError])(getattr(Worker, name))
        room = self._room
        needs = {"num_cpus": room.n_cpus, "num_gpus": room.n_gpus, "memory": int(room.n_bytes)}
        made = _made(self._ray, Worker, **needs, scheduling_strategy="SPREAD")
        for number in range(room.n_workers):
            self._workers[number] = made.remote(self._assignment(number), self._name)
        self._progress(STARTING, 0, 1)
        machine = self._first("machine")
        self._progress(STARTING, 1, 1)
        told = f"{room.text}; dashboard: http://{self._dashboard}" if self._dashboard else room.text
        self.means = Means(room.n_workers, machine, told)

    def tell_of(self, roles: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What a run says of the checkpoint of each role."""
        self._first("tell_of", list(roles))
        return {role: self._handed_in[role] for role in roles}

    def measure(self, what: What, of: Sequence[Any]) -> None:
        """Measure what is missing; raises what a worker raises, and `RunError` for a unit that came to nothing."""
        if of:
            self._first("measure", what, list(of))

    def stop(self) -> None:
        """End all of them."""
        for actor in (*self._workers.values(), self._board):
            self._ray.kill(actor, no_restart=True)

    def _first(self, method: str, *given: Any) -> Any:
        """What the first worker returns that comes to the end of a method, which all of them are asked for."""
        given = ([self._packed], *given)  # in a list, so that Ray hands on the reference
        running = {getattr(actor, method).remote(*given): number for number, actor in self._workers.items()}
        while running:
            ended, _ = self._ray.wait(list(running), num_returns=1, timeout=POLL)
            self._hear()
            for one in ended:
                found, is_lost = self._result(one, running.pop(one))
                if not is_lost:
                    self._hear()
                    return found
        raise RunError(f"No worker is left on Ray: {self._reason}. What was measured is kept.")

    def _result(self, reference: Any, number: int) -> tuple[Any, bool]:
        """What a worker returned, and whether it was lost for good instead; raises what it raised."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference), False
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", error)
            if isinstance(cause, AftertuneError):
                raise type(cause)(str(cause)) from None
            raise RunError(f"A worker failed: {type(cause).__name__}: {reason_of(cause)}.") from error
        except errors.RayActorError as error:
            self._reason = reason_of(error)
            del self._workers[number]
            self._board.lose.remote(number)
            return None, True

    def _hear(self) -> None:
        """Pass on what workers tell; raises `RunError` where the run must end."""
        news = self._ray.get(self._board.news.remote())
        for stage, (done, total) in news.progress.items():
            self._progress(stage, done, total)
        self._handed_in |= news.handed_in
        for said in news.again:
            LOG.warning(said)
        if news.failure is not None:
            raise RunError(news.failure)
        if time.monotonic() - self._looked > SECONDS_BETWEEN_NODES:
            self._looked = time.monotonic()
            gone = set(dead_nodes(self._ray)) - self._gone
            self._gone |= gone
            if gone:
                self._board.lose_places.remote(sorted(gone))

    def _assignment(self, number: int) -> Assignment:
        from aftertune.models.fingerprint import versions

        path, beginning = local_path(self._run.address), self._run.beginning or "{}"
        address = self._run.address if path is None else str(path.resolve())
        return Assignment(number, self._room.n_cpus, address, beginning, str(Path.cwd()), versions())


def bytes_of_worker(intent: Intent, nodes: Sequence[Mapping[str, float]], n_gpus: int) -> float:
    """The memory of the machine that a worker needs: all of it on a processor, that of the weights beside a GPU."""
    from aftertune.models.cost import weight_bytes
    from aftertune.models.machine import Machine
    from aftertune.models.mapped.memory import ON_DISK
    from aftertune.study.estimate import LIBRARY_BYTES, estimate

    if n_gpus:
        weights = (weight_bytes(one, intent.study.dtype) for one in intent.sizes.values())
        return LIBRARY_OF_GPU_BYTES + max(weights, default=0.0)
    free = int(max(one.get(MEMORY, 0) for one in nodes if one.get(CPU, 0)))
    return max(
        LIBRARY_BYTES, estimate(intent, Machine("cpu", 1.0, 1.0, free, intent.study.device == ON_DISK)).most_bytes
    )


LIBRARY_OF_GPU_BYTES = 3e9  # of a process that uses one


def _packed(plan: Plan) -> bytes:
    """The plan as it is handed to workers; raises `RunError` for what can't be."""
    what = "The study can't be handed to workers"
    with translated(RunError, what, "Give words and vectors as files, or leave the engine out."):
        return bytes(import_ray().cloudpickle.dumps(plan))


def _made(ray: Any, kind: type, **options: Any) -> Any:
    """A kind of actor that Ray begins again, and calls again, however often it is lost."""
    return ray.remote(kind).options(max_restarts=-1, max_task_retries=-1, **options)


def _here(ray: Any) -> Any:
    """On the driver's machine: without it nobody would ask."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
