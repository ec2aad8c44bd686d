"""What ``aftertune compare`` and its like print: what was chosen before, the summary or JSON afterwards."""

import os
import shutil
import sys
from typing import TYPE_CHECKING

from aftertune.cli.terminal import say, say_json
from aftertune.report.commands import in_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aftertune.cli.progress import Display
    from aftertune.study.forecast import Forecast
    from aftertune.study.intent import Intent
    from aftertune.study.saved import Found


def announce(display: "Display", intent: "Intent") -> "Forecast | None":
    """Tell what was chosen, and how long it will take; the forecast is told of each step by the display.

    There is none while workers are awaited.
    """
    from aftertune.study.announce import prepare

    text, forecast = prepare(intent)
    if intent.awaits:
        display.tell(text)
        return None
    display.begin(text, forecast)
    return forecast


def show_written(found: "Found", as_json: bool, outs: "Sequence[Path]") -> None:
    """Say which files were written, or print the result as JSON."""
    if as_json:
        say_json(found.to_dict())
    else:
        say(f"Written: {', '.join(map(str, outs))}")


def _tell_taken(run: str) -> None:
    from aftertune.runs.run import RunFolder
    from aftertune.study.reuse import saved_taken

    taken = saved_taken(RunFolder(run))
    if taken is not None:
        say(str(taken))


def _shown(command: str) -> str:
    """A command on lines of its own; on a terminal they end between options, since it would break them anywhere."""
    if not command:
        return ""
    return f"\n  {in_lines(command, shutil.get_terminal_size().columns - 2) if _is_terminal() else command}"


def _is_terminal() -> bool:
    """Whether lines end at its width, and a backslash lets them go on; other shells have other signs for that."""
    return sys.stdout.isatty() and os.name == "posix"


def show(found: "Found", as_json: bool, run: str | None = None) -> None:
    """Print what was found: as JSON, in full, or of a run in a few sentences with the place of its report."""
    if as_json:
        say_json(found.to_dict())
    elif run is None:
        for finding in found.findings:
            say(f"- {finding.headline}\n  {finding.sentence}")
    else:
        verdict = getattr(found, "verdict", None)
        if verdict is not None:
            say(f"Verdict: {verdict.status}")
        for sentence in found.summary:
            say(f"- {sentence}")
        _tell_taken(run)
        for step in verdict.steps if verdict is not None else ():
            say(f"Next: {step.text}{_shown(step.command)}")
        say(f"\nReport: {run.rstrip('/')}/report.html")
