"""What a mistyped call costs and says: no torch, transformers or scipy, one line, the answer in it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from aftertune.cli.app import COMMANDS, app
from command_line import CommandLine

pytest_plugins = ("cli_fixtures",)

HEAVY = ("torch", "transformers", "scipy", "altair", "polars")
PROBE = """
import json, sys
sys.argv = ["aftertune", *json.loads(sys.argv[1])]
from aftertune.cli import main
try:
    main()
except SystemExit as ended:
    print(json.dumps([ended.code, [name for name in {heavy!r} if name in sys.modules]]))
"""
TYPED = {
    ("compare", "A", "B", "--prompts", "nofile"): "There is no file at nofile. Give the path of a prompt file.",
    ("compare", "A", "B", "--prompts", "promts.jsonl"): "Did you mean prompts.jsonl?",
    ("compare", "A", "B", "--words", "none.txt"): "There is no file at none.txt. Give the path of one that is there.",
    ("compare", "./none", "B"): "There is no folder './none'. Give a folder, a .gguf file, or a hub id (owner/name).",
    ("compare", "A", "B", "--only", "atribution"): "Did you mean attribution?",
    ("compare", "A", "B", "--only", "heads", "concepts"): "concepts is an explainer, and was given as a model. Several",
    ("compare", "A", "B", "--methd", "x"): "There is no option --methd. Did you mean --method?",
    ("compare", "A", "B", "--limit", "x"): "--limit: it must be a valid integer. See aftertune compare --help.",
    ("compare", "A", "B", "--limit"): "Option --limit requires an argument. See aftertune --help.",
    ("compar",): "There is no command 'compar'. Did you mean compare?",
    ("frob",): "There is no command 'frob'. Known: compare, status, report,",
    ("heads", "m", "--run", "x", "--dtype", "flot32"): "Did you mean float32?",
    ("attribute", "m"): "Missing option --prompt. See aftertune attribute --help.",
}


def ended(*arguments: str, folder: Path) -> tuple[list[object], str]:
    """How a call ended, with what it had imported; and what it said."""
    (folder / "prompts.jsonl").touch()
    command = [sys.executable, "-c", PROBE.format(heavy=HEAVY), json.dumps(arguments)]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1]), found.stderr


@pytest.mark.parametrize("arguments", [*TYPED][:4:3], ids=lambda one: " ".join(one))
def test_a_mistyped_call_waits_for_nothing(arguments: Sequence[str], tmp_path: Path) -> None:
    how, said = ended(*arguments, folder=tmp_path)
    assert how == [2, []] and TYPED[tuple(arguments)] in said


@pytest.mark.parametrize("arguments", TYPED, ids=lambda one: " ".join(one))
def test_a_mistyped_call_is_told_in_one_line(cli: CommandLine, arguments: Sequence[str]) -> None:
    (cli.folder / "prompts.jsonl").touch()
    assert TYPED[tuple(arguments)] in cli.refuses(*arguments)


def test_help_leads_on_and_stands_in_groups(cli: CommandLine) -> None:
    assert "Where to start" in cli.succeeds("--help") and cli.succeeds() == cli.succeeds("--help")
    told = cli.succeeds("compare", "--help")
    panels = ("The run", "Prompts", "Checkpoints", "Attribution", "Heads and Concepts", "Examples")
    assert [told.index(panel) for panel in panels] == sorted(told.index(panel) for panel in panels)
    assert "[default: 300]" in told and "aftertune compare BASE SFT DPO" in told


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("aftertune comp", {"compare"}),
        ("aftertune compare --only outputs,he", {"outputs,heads"}),
        ("aftertune compare A B --meth", {"--method"}),
        ("aftertune heads m --dtype b", {"bfloat16"}),
    ],
)
def test_shells_complete_commands_options_and_values(
    typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    monkeypatch.setenv("_AFTERTUNE_COMPLETE", "complete_bash")
    with pytest.raises(SystemExit):
        app(prog_name="aftertune")
    assert set(capsys.readouterr().out.split()) == offered


def test_every_command_is_there_and_only_said_once() -> None:
    program = typer.main.get_command(app)
    assert {name: program.get_command(None, name).name for name in COMMANDS} == {name: name for name in COMMANDS}  # type: ignore[attr-defined]
