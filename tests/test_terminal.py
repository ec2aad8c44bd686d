"""What a model or a data set wrote reaches the terminal as text; a closed pipe and a full disk are ends like others."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from aftertune.cli.progress import Display
from aftertune.cli.terminal import CLOSED_PIPE, TextConsole, say, say_json
from aftertune.errors import RunError
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Stage
from command_line import CommandLine

pytest_plugins = ("cli_fixtures",)
# Sets the clipboard, clears the screen, in one sign of eight bits, rings, turns the text around.
HOSTILE = "\x1b]52;c;cm0gLXJm\x07 \x1b[2J \x9b31m \x08\x7f \u202eabc \ud800"
SENT = [sign for sign in HOSTILE if not sign.isprintable()]
REPORT = [sys.executable, "-m", "aftertune", "report"]
VERSION = [sys.executable, "-m", "aftertune", "--version"]


def test_a_line_shows_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"a {HOSTILE}")
    say(f"b {HOSTILE}", err=True)
    out, err = capsys.readouterr()
    assert not [sign for sign in SENT if sign in out + err]
    assert out.startswith("a ␛]52;c;cm0gLXJm␇ ␛[2J ⟨U+009B⟩31m ␈␡ ⟨U+202E⟩abc") and err.startswith("b ␛")


def test_json_holds_escapes_that_mean_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"a": HOSTILE, "b": "中"})
    out = capsys.readouterr().out
    assert not [sign for sign in SENT if sign in out] and "中" in out
    assert json.loads(out) == {"a": HOSTILE, "b": "中"}


def test_tables_and_progress_show_it_too() -> None:
    out = io.StringIO()
    console = TextConsole(file=out, force_terminal=True, width=300)
    table = Table("a", box=None)
    table.add_row(Text(HOSTILE.replace("\ud800", "")))
    console.print(table)
    display = Display(console)
    display.begin(f"models {HOSTILE}", None)  # type: ignore[arg-type]
    display.start()
    display(Stage(f"base{HOSTILE}", "heads", "reading"), 1, 2)
    display.stop(keep=True)
    shown = out.getvalue()
    assert "␛[2J" in shown and "\x1b[2J" not in shown and "\x1b]52" not in shown and "\x9b" not in shown


def test_messages_and_summaries_show_it(cli: CommandLine, run: Path, base: Path) -> None:
    RunFolder.open(run).remember("names.json", {"base": f"b{HOSTILE[:-1]}", "tuned": "中文"})
    told = cli.run("report", run)
    missing = cli.run("report", f"no{HOSTILE[:-1]}")
    wrong = cli.run("compare", base, base, "--dtype", HOSTILE[:-1])
    assert (told.code, missing.code, wrong.code) == (0, 2, 2)
    for ended in (told, missing, wrong):
        assert not [sign for sign in SENT if sign in ended.out + ended.err], ended


def ended(command: list[str], **how: Any) -> tuple[int, str]:
    found = subprocess.run(command, stderr=subprocess.PIPE, check=False, **how)
    return found.returncode, found.stderr.decode()


@pytest.mark.parametrize(
    "command", [VERSION, [*REPORT, "RUN", "--json", "--out", "figure6.csv"]], ids=["short", "json"]
)
def test_a_pipe_that_nobody_reads_ends_it_quietly(run: Path, tmp_path: Path, command: list[str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as pipe:
        found = ended([str(run) if word == "RUN" else word for word in command], stdout=pipe, cwd=tmp_path)
    assert found == (CLOSED_PIPE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        code, err = ended(VERSION, stdout=full)
    assert code == 2
    reason = "No space left on device. Free some space, or send it elsewhere."
    assert err == f"aftertune: Standard output can't be written: {reason}\n"


def test_a_full_disk_ends_a_table() -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="Standard output can't be written: No space left"):
        TextConsole(file=Full()).print("a")


SAYS = """
from aftertune.cli.terminal import say, say_json, take_any_text
take_any_text()
say("\\u4e2d \\ud800"); say("\\u4e2d", err=True); say_json({"a": "\\u4e2d\\U0001f600"})
"""


@pytest.mark.parametrize("setting", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_any_language_can_be_written_to_ascii(setting: dict[str, str]) -> None:
    environment = {**os.environ, "PYTHONCOERCECLOCALE": "0", **setting}
    found = subprocess.run([sys.executable, "-c", SAYS], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    first, data = found.stdout.splitlines()
    assert json.loads(data) == {"a": "中\U0001f600"} and first.startswith("\\u4e2d") and found.stderr == "\\u4e2d\n"
