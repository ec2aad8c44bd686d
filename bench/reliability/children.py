"""``aftertune`` in many short-lived processes: everything is imported once, each is a fork of that.

A child may be given a ``fault``, Python that is run in it before the command; it can be killed at any moment, and what
it prints is kept. A process that is still there after its time is killed, and counts as a hang.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 60.0
ALONE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "POLARS_MAX_THREADS": "1"}
# What a comparison imports, a second and more of it only when it is needed.
IMPORTS = """
import aftertune.cli, aftertune.cli.compare, aftertune.cli.heads, aftertune.study.announce, aftertune.study.compare
import aftertune.study.engine.worker, aftertune.study.saved, aftertune.models.loadable, aftertune.models.fingerprint
import aftertune.explainers.attribution.measure, aftertune.explainers.attribution.page
import aftertune.explainers.heads.measure, aftertune.explainers.heads.show
import aftertune.report.page, aftertune.labelling.store
import statsmodels.stats.power, torch._decomp.decompositions_for_jvp, transformers.models.llama.modeling_llama
"""
FORKING = (
    f"{IMPORTS}import json, os, sys, time"
    + """

def start(asked):
    child = os.fork()
    if child:
        return child
    said = os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1), os.dup2(said, 2)
    exec(asked["fault"], {})
    sys.argv = ["aftertune", *asked["arguments"]]
    try:
        aftertune.cli.main()
    except SystemExit as ended:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(ended.code or 0)

def look(child):
    found, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None

for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(look(asked["child"]) if "child" in asked else start(asked)), file=sys.__stdout__, flush=True)
"""
)


@dataclass(frozen=True)
class Ended:
    """Exit code (minus the signal that killed it; None for a hang) and all that was printed."""

    code: int | None
    said: str

    @property
    def is_traceback(self) -> bool:
        """Whether it ended in a way that no user should see."""
        return "Traceback (most recent call last)" in self.said or self.code not in (0, 1, 2, 130, 143)

    @property
    def last_line(self) -> str:
        """The last line that was printed."""
        return (self.said.strip().splitlines() or [""])[-1]


class Children:
    """A process that has everything imported, and its forks; what they print is kept in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._n = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            env=os.environ | ALONE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=PATIENCE_SECONDS)

    def start(self, arguments: list[str], fault: str = "") -> "Child":
        """Begin ``aftertune ARGUMENTS`` in a child."""
        self._n += 1
        said = self.folder / f"said-{self._n}.txt"
        asked = {"arguments": [str(one) for one in arguments], "fault": fault, "said": str(said)}
        return Child(self, self.ask(asked), said)

    def run(self, arguments: list[str], fault: str = "", patience: float = PATIENCE_SECONDS) -> Ended:
        """Run it to its end."""
        return self.start(arguments, fault).wait(patience)

    def ask(self, asked: dict):
        """The answer to one request to the forking process."""
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@dataclass(frozen=True)
class Child:
    """One command at work."""

    parent: Children
    number: int
    said: Path

    def kill(self, by: int = signal.SIGKILL) -> None:
        """Send it a signal; nothing happens where it has ended, since it is not waited for yet."""
        os.kill(self.number, by)

    def wait(self, patience: float = PATIENCE_SECONDS) -> Ended:
        """How it ended; it is killed once its time is over."""
        started, code = time.monotonic(), None
        while (code := self.parent.ask({"child": self.number})) is None and time.monotonic() - started < patience:
            time.sleep(0.01)
        if code is None:
            self.kill()
            while self.parent.ask({"child": self.number}) is None:
                time.sleep(0.01)
        return Ended(code, self.said.read_text(errors="replace") if self.said.exists() else "")
