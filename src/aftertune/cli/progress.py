"""One display of progress: how far the whole is, how long it still takes, and what is being done now.

On a terminal two lines that stay in their place; elsewhere (a log) a plain line every half a minute.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from aftertune.cli.terminal import TextConsole
from aftertune.runs.stage import Stage

if TYPE_CHECKING:
    from aftertune.study.forecast import Forecast

SECONDS_BETWEEN_LINES = 30.0


class Display:
    """Is called with each step as ``display(stage, done, total)``, and shows it."""

    def __init__(self, console: TextConsole) -> None:
        self.console = console
        self._forecast: Forecast | None = None
        self._bars = _Bars(self._whole, console)
        self._last_line = time.monotonic()

    def begin(self, text: str, forecast: "Forecast") -> None:
        """Show what was chosen, and from now on how far the whole is."""
        self.tell(text)
        self._forecast = forecast

    def tell(self, text: str) -> None:
        """Show a text that stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, what: Stage, done: float, total: float) -> None:
        """Show that ``done`` of ``total`` units of a stage are done."""
        if self._forecast is not None:
            self._forecast.tell(what, done, total)
        if self.console.is_terminal:
            self._bars.show(str(what), done, total)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.console.print(self._line(what, done, total), markup=False, highlight=False, soft_wrap=True)

    def start(self) -> None:
        """Begin to draw, where there is a terminal."""
        if self.console.is_terminal:
            self._bars.start()

    def stop(self, keep: bool) -> None:
        """End drawing; what was drawn is taken away unless it is to be kept."""
        if self.console.is_terminal:
            self._bars.live.transient = not keep
            self._bars.live.stop()

    def _line(self, what: Stage, done: float, total: float) -> str:
        whole = self._whole()
        here = f"{what} {done / total if total else 1:.0%}"
        return f"{here}; {whole[0]:.0%} of all, {whole[1]}" if whole else here

    def _whole(self) -> tuple[float, str] | None:
        """The share of all that is done, and the time that is left; None where nothing was expected."""
        if self._forecast is None:
            return None
        from aftertune.study.forecast import say_seconds

        left, over = self._forecast.seconds_left, self._forecast.seconds_over
        told = f"about {say_seconds(left)} left" if left else f"took {say_seconds(over)}"
        return self._forecast.share_done, told


@contextmanager
def shown_progress() -> Iterator[Display]:
    """A display on standard error; after an error or Ctrl-C nothing is left of it, so that the message stands alone."""
    shown = Display(TextConsole(stderr=True))
    shown.start()
    try:
        yield shown
    except BaseException:
        shown.stop(keep=False)
        raise
    shown.stop(keep=True)


class _Bars(Progress):
    """A bar for the whole, which moves by itself, above one for the present stage."""

    def __init__(self, whole: Callable[[], tuple[float, str] | None], console: TextConsole) -> None:
        self._whole_of = whole  # before anything else, since Progress draws itself when it is made
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn())
        super().__init__(
            *columns, TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[note]}"), console=console
        )
        self._all: Any = self.add_task("all", total=1.0, visible=False, note="")
        self._stage: Any = self.add_task("", total=None, visible=False, note="")

    def show(self, what: str, done: float, total: float) -> None:
        """Show the present stage."""
        self.update(self._stage, description=what, completed=done, total=total, visible=True)

    def get_renderables(self) -> Iterator[RenderableType]:
        """What is drawn, several times a second: the whole is asked each time how far it is."""
        whole = self._whole_of()
        if whole is not None:
            self.update(self._all, completed=whole[0], note=whole[1], visible=True)
        yield from super().get_renderables()
