"""A comparison of tiny models, small enough to be run a thousand times; how it ends is held against one undisturbed."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging

from bench.reliability.children import Child, Children, Ended
from bench.reliability.counts import Counts
from command_line import snapshot
from tiny import make_model, make_tokenizer

PROMPTS = ("the cat sat", "rewrite the text", "the mat")
SKIPPED = [word for name in ("heads", "concepts", "outputs", "location") for word in ("--skip", name)]
QUICK = ["--max-new-tokens", "3", "--device", "cpu", "--check", "0", *SKIPPED]


@dataclass(frozen=True)
class Tiny:
    """Models and prompts in ``folder``, and what an undisturbed run came to: its files, and how long it took."""

    folder: Path
    children: Children
    whole: dict[str, str]
    seconds: float

    def start(self, run: Path, *more: str, fault: str = "") -> Child:
        """Begin the comparison into a run folder."""
        return self.children.start([*arguments(self.folder, run), *more], fault)

    def must_end(self, run: Path, found: Counts) -> None:
        """Give the command again: it must end well, and all files must be those of the undisturbed run."""
        ended = self.start(run).wait()
        if ended.code != 0:
            found.fail("hangs" if ended.code is None else "crashes", f"given again: {ended.last_line}")
        elif (now := snapshot(run)) != self.whole:
            names = sorted(name for name in self.whole.keys() | now.keys() if self.whole.get(name) != now.get(name))
            found.fail("false", f"not as undisturbed: {', '.join(names)}")


@contextmanager
def tiny_run(folder: Path) -> Iterator[Tiny]:
    """Tiny models, and an undisturbed run of them."""
    save_models(folder)
    with Children(folder) as children:
        started = time.monotonic()
        ended = children.run(arguments(folder, folder / "whole"))
        if ended.code != 0:
            raise SystemExit(f"The undisturbed run failed: {ended.said}")
        yield Tiny(folder, children, snapshot(folder / "whole"), time.monotonic() - started)


def save_models(folder: Path) -> None:
    """Two tiny checkpoints, ``base`` and ``tuned``, and ``prompts.jsonl``."""
    logging.disable_progress_bar()
    for seed, name in enumerate(("base", "tuned")):
        make_model(seed=seed).save_pretrained(folder / name)
        make_tokenizer().save_pretrained(folder / name)
    rows = [json.dumps({"id": f"p{index}", "prompt": prompt}) + "\n" for index, prompt in enumerate(PROMPTS)]
    (folder / "prompts.jsonl").write_text("".join(rows), encoding="utf-8")


def arguments(folder: Path, run: Path) -> list[str]:
    """The arguments that compare the models of `save_models`."""
    models = [str(folder / "base"), str(folder / "tuned")]
    return ["compare", *models, "--run", str(run), "--prompts", str(folder / "prompts.jsonl"), *QUICK]


def must_refuse(ended: Ended, found: Counts, said: str) -> None:
    """A command that could not do its work must end with 2 and one line that says so; one that could, with 0."""
    if ended.code is None:
        found.fail("hangs", ended.last_line)
    elif ended.is_traceback:
        found.fail("crashes", f"exit code {ended.code}: {ended.last_line}")
    elif ended.code == 2 and said not in ended.last_line:
        found.fail("crashes", f"unclear: {ended.last_line}")


def parts(run: Path) -> dict[str, tuple[int, int]]:
    """The parts of a run, each with its inode and time of writing."""
    found = {path: path.stat() for path in run.rglob("*.parquet") if path.parent != run}
    return {str(path.relative_to(run)): (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}
