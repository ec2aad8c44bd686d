"""Whose turn is it?  Workers that share a run make every unit once, whatever one waits for, and whoever is lost."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from aftertune.runs.layer_parts import LayerParts
from aftertune.runs.run import RunFolder
from aftertune.runs.turns import OthersBusyError, Shared, Task, do_all
from aftertune.study.engine.board import TRIES, Board, ReplacedError
from command_line import snapshot

LAYERS = LayerParts("layers", ("numbers", "words"), frozenset())


class KilledError(Exception):
    """What ends a worker here."""


class Measured:
    """Work of three loops: squares, which sums need; layers, written behind; sums, which the last part needs."""

    def __init__(self, run: RunFolder, made: Counter[str], before: Callable[[str], None] = lambda _: None) -> None:
        self.run, self.made, self.before = run, made, before
        self.told: list[tuple[float, float]] = []

    def write(self, name: str, number: int) -> None:
        self.before(name)
        self.made[name] += 1
        self.run.write_frame(self.part(name), pl.DataFrame({"number": [number]}))

    def read(self, name: str) -> int:
        return int(self.run.read_frame(self.part(name))["number"][0])

    def part(self, name: str) -> tuple[str, str, str]:
        return self.run.part("numbers", "base", name)

    def measure(self) -> None:
        parts = lambda n: [self.part(f"square-{n}")]  # noqa: E731
        for n in self.run.missing(range(7), parts, lambda done, total: self.told.append((done, total))):
            self.write(f"square-{n}", n * n)
        LAYERS.fill(self.run, "base", range(4), self.layer, lambda *_: None)
        if self.run.turns.is_mine("by name"):
            self.before("by name")
            self.made["by name"] += 1
        for n in self.run.missing(range(7), lambda n: [self.part(f"sum-{n}")]):
            self.write(f"sum-{n}", sum(self.read(f"square-{m}") for m in range(n + 1)))
        for _ in self.run.missing(["last"], lambda name: [self.part(name)], wait=False):
            self.write("last", sum(self.read(f"sum-{n}") for n in range(7)))

    def layer(self, layer: int) -> dict[str, pl.DataFrame]:
        self.before(f"layer-{layer}")
        self.made[f"layer-{layer}"] += 1
        return {name: pl.DataFrame({"layer": [layer], "of": [name]}) for name in LAYERS.frames}

    def is_done(self) -> bool:
        return self.run.exists(*self.part("last")) and all(LAYERS.is_written(self.run, "base", n) for n in range(4))


class Locked(Board):
    """A board that answers one worker after the other, as an actor does."""

    def __getattribute__(self, name: str):
        found = super().__getattribute__(name)
        if not callable(found) or name.startswith("_"):
            return found
        lock = super().__getattribute__("lock")

        def locked(*given):
            with lock:
                return found(*given)

        return locked

    def __init__(self) -> None:
        self.lock = threading.RLock()
        super().__init__()


def start(folder: Path) -> RunFolder:
    run = RunFolder.start(folder, {"settings": {}}, {})
    run.remember("begun.json", {})
    return run


def work(folder: Path, board: Board, number: int, made: Counter[str], before: Callable[[str], None]) -> Measured:
    """What a worker does; it is begun again when it fails, and not when it was killed."""
    turns = Shared(board)
    run = RunFolder(str(folder), start(folder).beginning, turns)
    measured = Measured(run, made, before)
    while True:
        turns.begin(board.begin(number, "here"))
        try:
            do_all([Task(measured.measure, measured.is_done)], turns)
        except KilledError:
            board.lose(number)
            return measured
        except ValueError as error:
            if (failure := board.fail(turns.token, str(error))) is not None:
                raise RuntimeError(failure) from error
            continue
        board.end(turns.token)
        return measured


def share(folder: Path, n: int, before: Callable[[str], None] = lambda _: None) -> tuple[Counter[str], list[str]]:
    """How often ``n`` workers made each unit, and what ended them."""
    board, made, ended = Locked(), Counter[str](), list[str]()

    def one(number: int) -> None:
        try:
            work(folder, board, number, made, before)
        except RuntimeError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return made, ended


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    measured = Measured(start(folder), Counter())
    do_all([Task(measured.measure, measured.is_done)], measured.run.turns)
    assert measured.read("last") == sum(sum(m * m for m in range(n + 1)) for n in range(7))
    assert measured.told == [(float(n), 7.0) for n in range(8)]
    return snapshot(folder)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_workers_make_every_unit_once_and_the_same(n: int, whole: dict[str, str], tmp_path: Path) -> None:
    made, ended = share(tmp_path / "run", n)
    assert not ended
    assert snapshot(tmp_path / "run") == whole
    assert set(made.values()) == {1} and len(made) == 7 + 4 + 1 + 7 + 1


def test_what_lies_in_the_run_is_not_made_again(whole: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    measured = Measured(start(folder), Counter())
    for name, number in (("square-0", 0), ("square-3", 9)):
        measured.write(name, number)
    made, _ = share(folder, 2)
    assert snapshot(folder) == whole
    assert not {"square-0", "square-3"} & set(made)


@pytest.mark.parametrize("at", ["square-2", "layer-1", "by name", "sum-5", "last"])
def test_what_a_lost_worker_held_is_made_by_others(at: str, whole: dict[str, str], tmp_path: Path) -> None:
    killed = []

    def kill_once(name: str) -> None:
        if name == at and not killed:
            killed.append(name)
            raise KilledError

    made, ended = share(tmp_path / "run", 3, kill_once)
    assert killed == [at] and not ended
    assert snapshot(tmp_path / "run") == whole
    again = {"layer-0", "by name"}  # still being written when layer 1 was begun; held to the end of the task
    assert {name for name, n in made.items() if n > 1} <= again


def test_a_unit_that_fails_is_tried_again_and_ends_the_run_at_last(whole: dict[str, str], tmp_path: Path) -> None:
    left = Counter({"sum-3": TRIES - 1})

    def fail(name: str) -> None:
        if left[name] > 0:
            left[name] -= 1
            raise ValueError("a bad day")

    _, ended = share(tmp_path / "run", 2, fail)
    assert not ended and snapshot(tmp_path / "run") == whole
    left["sum-3"] = 1000
    _, ended = share(tmp_path / "other", 1, fail)
    (told,) = ended
    assert told.startswith(f"numbers/base/sum-3.parquet failed {TRIES} times, the last time because a bad day.")


def test_a_worker_that_was_replaced_gets_nothing() -> None:
    board = Board()
    first = board.begin(0, "here")
    assert board.take(first, ("a", "b"), ()).taken == "a"
    second = board.begin(0, "there")
    with pytest.raises(ReplacedError):
        board.take(first, ("b",), ("a",))
    assert board.take(second, ("a", "b"), ()).taken == "a", "what was held is free again"


def test_a_machine_that_is_gone_gives_back_what_its_workers_held() -> None:
    board = Board()
    tokens = [board.begin(number, place) for number, place in enumerate(("here", "there", "there"))]
    taken = [board.take(token, ("a", "b", "c"), ()).taken for token in tokens]
    assert taken == ["a", "b", "c"] and board.are_busy(("a", "b", "c"))
    board.lose_places(["there"])
    assert not board.are_busy(("b", "c")) and board.are_busy(("a",))
    said = board.news().again
    assert [one.partition(",")[0] for one in said] == ["Worker 1 did not end b", "Worker 2 did not end c"]
    assert all(one.endswith("its machine is gone. It is made again.") for one in said) and board.news().again == []
    assert board.take(tokens[0], ("b", "c"), ("a",)).taken == "b"


def test_workers_that_die_before_they_begin_anything_end_the_run() -> None:
    from aftertune.runs.stage import Stage

    board = Board()
    for _ in range(TRIES):
        board.begin(3, "here")
        board.tell(3, Stage("base", step="loading"), 0, 1)
    assert board.news().failure is None
    board.lose(3)
    assert str(board.news().failure).startswith("base: loading (worker 3) failed 3 times")


def test_nothing_is_left_to_take_while_others_are_at_work(tmp_path: Path) -> None:
    board, turns = Board(), Shared(Board())
    turns = Shared(board)
    turns.begin(board.begin(0, "here"))
    assert board.take(board.begin(1, "here"), ("numbers/base/a.parquet",), ()).taken
    run = RunFolder(str(tmp_path / "run"), start(tmp_path / "run").beginning, turns)
    parts = lambda name: [run.part("numbers", "base", name)]  # noqa: E731
    assert not list(run.missing(["a"], parts, wait=False))
    with pytest.raises(OthersBusyError) as error:
        list(run.missing(["a"], parts))
    assert error.value.keys == ("numbers/base/a.parquet",)
