"""One display of progress: two lines on a terminal, a plain line now and then in a log."""

from io import StringIO

import pytest
from rich.console import Console

from aftertune.cli import progress
from aftertune.cli.progress import Display
from aftertune.runs.stage import Stage
from aftertune.study.forecast import Forecast

HEADS, REPORT = Stage("base", "heads", "heads"), Stage(step="report")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(terminal: bool) -> tuple[Display, StringIO, Clock]:
    out, clock = StringIO(), Clock()
    display = Display(Console(file=out, force_terminal=terminal, width=100))
    display.start()
    display.begin("what [was] chosen", Forecast({HEADS: 60.0, REPORT: 60.0}, clock=clock))
    return display, out, clock


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    display, out, clock = shown(terminal=False)
    display(HEADS, 0, 4)
    assert out.getvalue() == "what [was] chosen\n", "nothing is told before half a minute has passed"
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    clock.now = 30
    display(HEADS, 2, 4)
    clock.now = 60
    display(HEADS, 4, 4)
    clock.now = 130
    display(REPORT, 1, 1)
    display.stop(keep=True)
    assert out.getvalue().splitlines()[1:] == [
        "base: heads 50%; 25% of all, about 2 min left",
        "base: heads 100%; 50% of all, about 60 s left",
        "report 100%; 100% of all, took 2 min",
    ]


def test_a_terminal_shows_the_whole_and_the_stage() -> None:
    display, out, clock = shown(terminal=True)
    display(HEADS, 0, 4)
    clock.now = 30
    display(HEADS, 2, 4)
    display.stop(keep=True)
    *_, whole, stage = (line for line in out.getvalue().splitlines() if "%" in line)
    assert "all" in whole and "25 %" in whole and "about 2 min left" in whole
    assert "base: heads" in stage and "50 %" in stage


def test_without_an_estimate_the_stage_alone_is_shown() -> None:
    out = StringIO()
    display = Display(Console(file=out, force_terminal=True, width=100))
    display.start()
    display(Stage(step="[loading]"), 0, 1)
    display.stop(keep=True)
    assert "[loading]" in out.getvalue() and "left" not in out.getvalue()
