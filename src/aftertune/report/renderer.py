"""Who draws: a process of its own, since what draws ends its process on some texts (a control character is enough).

1. It is started for the first picture and draws all that follow; after it died, the next picture starts another.
2. Every text of a chart is cleaned before it goes there: control characters and direction marks become signs.
3. A picture that takes longer than `LONGEST_SECONDS` counts as one that can't be drawn.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from threading import Lock, Timer

from aftertune.errors import RunError
from aftertune.report.values import Chart
from aftertune.runs.readable import visible

LONGEST_SECONDS = 120.0
END_SECONDS = 5.0
N_TEXTS = 4096
ON_ONE_LINE = {ord("\n"): "↵", ord("\t"): "⇥"}  # a line that ends inside a text is no expression of Vega's
PROGRAM = "aftertune.report.drawing"


class NotDrawnError(RunError):
    """A picture that could not be drawn; the text is the reason."""


class Renderer:
    """The process, kept as long as this one lives."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        atexit.register(self.close)

    def draw(self, spec: Chart, to: str, how: Mapping[str, object]) -> bytes:
        """A Vega-Lite specification as svg, png or pdf; raises `NotDrawnError` if it can't be drawn."""
        asked = json.dumps({"to": to, "spec": shown(spec), "how": how}).encode() + b"\n"
        with self._lock:
            process = self._started()
            timer = Timer(LONGEST_SECONDS, process.kill)
            timer.start()
            try:
                return _drawn(process, asked)
            except (OSError, ValueError, TypeError):  # it is gone in the middle of a line, or before it
                self.close()
                raise NotDrawnError(f"the renderer ended ({_how_it_ended(process)})") from None
            except KeyboardInterrupt:  # what it answers now would be taken for its next picture
                self.close()
                raise
            finally:
                timer.cancel()

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            try:
                self._process = _start()
            except (OSError, TypeError) as error:
                raise NotDrawnError(f"no process can be started ({error})") from None
        return self._process


def _start() -> subprocess.Popen[bytes]:
    # It finds what this process finds, and nothing that only happens to lie in the folder we are in.
    path = os.pathsep.join(place for place in sys.path if place)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", PROGRAM],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; it ends when we do
    )


def shown(value: object) -> object:
    """A chart whose texts are shown as text, whatever they hold."""
    if value is None or isinstance(value, int | float):  # first: most of a map's chart are numbers
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict | Mapping):
        return {_text(str(name)): shown(one) for name, one in value.items()}
    return [shown(one) for one in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=N_TEXTS)
def _text(text: str) -> str:
    """A text as it is shown; a chart names the same few thousands of times."""
    return visible(text).translate(ON_ONE_LINE)


def _drawn(process: subprocess.Popen[bytes], asked: bytes) -> bytes:
    """The picture; raises OSError or ValueError where the process has ended."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(asked)
    process.stdin.flush()
    about = json.loads(process.stdout.readline())
    picture = process.stdout.read(about["size"])
    if len(picture) < about["size"]:
        raise ValueError("half a picture")
    if "error" in about:
        raise NotDrawnError(about["error"].rstrip("."))
    return picture


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
