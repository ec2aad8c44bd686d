"""Is a run that was killed, started again and ended the same, byte for byte, as one that ran through?

1. A process of its own is interrupted by Ctrl-C, started again, killed (SIGKILL), started again, and ends.
2. Processes are killed just before they put a finished file in its place, at one file after another, until one ends; of
   a comparison of responses, of ``aftertune heads``, and of a comparison of heads.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from aftertune.runs.run import RunFolder
from command_line import QUICK, snapshot
from head_files import save_head_files

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.reliability.children import IMPORTS

pytest_plugins = ("cli_fixtures",)

ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
PATIENCE_SECONDS = 120.0
# In run.json, in settings.yaml, at the second response of the base, between its responses and attributions, amid both
# of the tuned, and in the report twice: at its tables and at its figures. 30 files are settings and parts.
DEATHS = (1, 5, 3, 6, 10, 9, 7, 20)
# Of heads: in the weights' digest, at the last part of layer 0, at the second of layer 1, and at the second of layer 2.
HEAD_DEATHS = (2, 8, 7, 7)
# Of a comparison of heads: at a part of the base's layer 1, of the tuned's layer 0, and in the report.
COMPARED_DEATHS = (12, 14, 20)
# Imports once and forks for each line (number of the file at which to die, then arguments), so that many deaths are
# cheap; prints how each child ended. A file is put in its place by one rename.
FORKING = (
    f"{IMPORTS}import os, signal, sys"
    + """
from aftertune.report import render
from aftertune.runs import disk
from conftest import undrawn

render.drawn = undrawn  # to start a process that draws takes a second

def die_at(number):
    calls = []
    def dying(put):
        def placed(*arguments):
            calls.append(arguments)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return put(*arguments)
        return placed
    disk.replace, disk.take_place = dying(disk.replace), dying(disk.take_place)

for line in sys.stdin:
    number, *arguments = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        die_at(int(number))
        sys.argv = ["aftertune", *arguments]
        aftertune.cli.main()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
)


class Forking:
    """Runs ``aftertune`` in children of a process that has everything imported."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            cwd=Path(__file__).parent,
            env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, arguments: list[str], die_at: int = 0) -> int:
        """Exit code of a child that dies just before its file number ``die_at`` is put in its place."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\t".join([str(die_at), *arguments]) + "\n")
        self._process.stdin.flush()
        while (line := self._process.stdout.readline()) and not line.strip().lstrip("-").isdigit():
            pass  # what the command prints
        return int(line)

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    found = Forking()
    yield found
    found.close()


def arguments(base: Path, tuned: Path, run: Path, prompts: Path) -> list[str]:
    return ["compare", str(base), str(tuned), "--run", str(run), "--prompts", str(prompts), *QUICK]


@pytest.fixture(scope="module")
def whole(forking: Forking, base: Path, tuned: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run, made as the others are."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert forking.run(arguments(base, tuned, run, finished.parent / "prompts.jsonl")) == 0
    return run


def parts(run: Path) -> dict[str, tuple[int, int]]:
    """The parts that are there, each with its inode and time of writing."""
    found = {path: path.stat() for path in run.rglob("*.parquet") if path.parent != run}
    return {str(path.relative_to(run)): (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}


def strays(run: Path) -> list[Path]:
    return list(run.rglob("*.partial"))


def test_an_uninterrupted_run_leaves_all_that_it_promises(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    files = {"run.json", "prompts.json", "base.json", "tuned.json", "comparison.json", "maps.parquet", "report.html"}
    assert names >= files | {"attribution-responses", "attribution", "attribution-shared", "tables", "figures"}
    assert len(parts(whole)) == 2 * 2 * 6 + 6 and not strays(whole)  # the base reads the tuned responses too


def test_killed_at_one_file_after_another(
    forking: Forking, base: Path, tuned: Path, whole: Path, finished: Path, tmp_path: Path
) -> None:
    run, prompts = tmp_path / "run", finished.parent / "prompts.jsonl"
    command = arguments(base, tuned, run, prompts)
    for number in DEATHS:
        done = parts(run)
        assert forking.run(command, die_at=number) == -signal.SIGKILL
        assert done.items() <= parts(run).items(), "a finished part was computed again"
        assert len(strays(run)) == 1, "the stray of this death only: earlier ones are taken away"
    assert len(parts(run)) == len(parts(whole)), "the last death was in the report"
    assert forking.run(command) == 0
    assert snapshot(run) == snapshot(whole)


def test_ctrl_c_while_a_file_is_looked_up_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalFileSystem, "info", interrupted)
    for look_up in (lambda: RunFolder(str(tmp_path)).exists("run.json"), RunFolder(str(tmp_path)).names):
        with pytest.raises(KeyboardInterrupt):
            look_up()


def wait_for(process: subprocess.Popen[str], run: Path, pattern: str, n: int) -> None:
    """Return once ``n`` parts are there, with the process still at work."""
    started = time.monotonic()
    while len(list(run.glob(pattern))) < n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - started < PATIENCE_SECONDS
        time.sleep(0.001)


def test_ctrl_c_and_kill_from_outside(
    forking: Forking, base: Path, tuned: Path, whole: Path, finished: Path, tmp_path: Path
) -> None:
    run, prompts = tmp_path / "run", finished.parent / "prompts.jsonl"
    command = [sys.executable, "-m", "aftertune", *arguments(base, tuned, run, prompts)]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    first = start()
    wait_for(first, run, "attribution/base/p*.parquet", 2)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=PATIENCE_SECONDS)
    assert (first.returncode, out) == (130, ""), err
    assert err.splitlines()[-1].startswith("aftertune: interrupted. ")
    assert not strays(run)
    after_first = parts(run)

    second = start()
    wait_for(second, run, "attribution/tuned/p*.parquet", 2)
    second.kill()
    second.communicate(timeout=PATIENCE_SECONDS)
    after_second = parts(run)
    assert after_first.items() <= after_second.items() and len(after_second) < len(parts(whole))

    assert forking.run(arguments(base, tuned, run, prompts)) == 0
    assert after_second.items() <= parts(run).items()
    assert snapshot(run) == snapshot(whole)


@pytest.fixture(scope="module")
def with_words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that both commands of heads take."""
    return [*save_head_files(tmp_path_factory.mktemp("words")).options, "--device", "cpu"]


def layers(run: Path) -> dict[str, tuple[tuple[int, int], ...]]:
    """The layers of either model whose four parts are there, each with their inodes and times of writing."""
    found: dict[str, list[tuple[int, int]]] = {}
    for name, written in parts(run).items():
        kind, _, place = name.removeprefix("heads/").partition("/")
        if kind != "words":
            found.setdefault(place, []).append(written)
    return {place: tuple(sorted(written)) for place, written in found.items() if len(written) == 4}


def test_heads_killed_at_one_file_after_another(
    forking: Forking, base: Path, with_words: list[str], tmp_path: Path
) -> None:
    command = ["heads", str(base), *with_words, "--run"]
    assert forking.run([*command, str(tmp_path / "whole")]) == 0
    run, n_layers = tmp_path / "run", []
    for number in HEAD_DEATHS:
        done = layers(run)
        assert forking.run([*command, str(run)], die_at=number) == -signal.SIGKILL
        assert done.items() <= layers(run).items(), "a finished layer was read again"
        assert len(strays(run)) == 1
        n_layers.append(len(layers(run)))
    assert n_layers == [0, 0, 1, 2], "only the layer in flight was lost"
    assert forking.run([*command, str(run)]) == 0
    assert snapshot(run) == snapshot(tmp_path / "whole") and len(layers(run)) == 3


def test_a_comparison_of_heads_killed_at_one_file_after_another(
    forking: Forking, base: Path, tuned: Path, with_words: list[str], tmp_path: Path
) -> None:
    skipped = [part for name in ("outputs", "location", "attribution", "concepts") for part in ("--skip", name)]
    command = ["compare", str(base), str(tuned), *with_words, *skipped, "--run"]
    assert forking.run([*command, str(tmp_path / "whole")]) == 0
    run, done = tmp_path / "run", dict[str, tuple[tuple[int, int], ...]]()
    for number in COMPARED_DEATHS:
        assert forking.run([*command, str(run)], die_at=number) == -signal.SIGKILL
        assert done.items() <= layers(run).items() and len(strays(run)) == 1
        done = layers(run)
    assert len(done) == 6, "the last death was in the report"
    assert forking.run([*command, str(run)]) == 0
    assert done == layers(run) and snapshot(run) == snapshot(tmp_path / "whole")
