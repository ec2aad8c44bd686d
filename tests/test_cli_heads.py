"""``aftertune heads``, and the options of heads in ``compare`` and ``report``, on tiny checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest

import aftertune
from command_line import CommandLine, snapshot
from head_files import HeadFiles, save_head_files

pytest_plugins = ("cli_fixtures",)

PLAIN = ("--device", "cpu", "--dtype", "float64")


@pytest.fixture
def files(tmp_path: Path) -> HeadFiles:
    return save_head_files(tmp_path)


@pytest.fixture
def read(cli: CommandLine, base: Path, files: HeadFiles, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command prints, on a wide screen, that reads all layers into ``run``."""
    monkeypatch.setenv("COLUMNS", "200")
    return cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN)


def rows(printed: str) -> list[list[str]]:
    """The rows of the printed table, cut where two spaces stand."""
    lines = [line.split("  ") for line in printed.splitlines() if line.startswith(" ")]
    return [[cell.strip() for cell in line if cell.strip()] for line in lines]


def refuse_to_load(patch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    patch.setattr("aftertune.models.load", load)


def test_the_strongest_heads_are_shown(read: str, base: Path, files: HeadFiles, tmp_path: Path) -> None:
    checkpoint = aftertune.load(base, device="cpu", dtype="float64")
    expected = aftertune.read_heads(checkpoint, files.words, files.vectors)
    lines = read.splitlines()
    assert lines[0] == f"299 of 300 words have a vector; {expected.pairs.height:,} pairs in the lists."
    header, *shown = rows(read)
    assert header == ["layer", "head", "held by", "pairs"] and len(shown) == 12
    strongest = expected.strongest().rows()
    assert shown == [list(map(str, row)) for row in strongest]
    assert lines[-1] == "Read: run/heads/pairs/model/*.parquet, and neurons beside it"
    assert aftertune.open_heads(tmp_path / "run").pairs.equals(expected.pairs)


@pytest.mark.usefixtures("read")
def test_find_shows_the_heads_that_hold_a_word(cli: CommandLine, base: Path, files: HeadFiles) -> None:
    expected = aftertune.open_heads("run").heads_with("write")
    printed = cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN, "--find", "Write")
    assert expected.height > 1 and f"\nPairs that hold 'Write': {expected.height}\n" in printed
    assert rows(printed) == [
        ["layer", "head", "rank", "word a", "word b", "held by"],
        *(list(map(str, row)) for row in expected.iter_rows()),
    ]
    nothing = cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN, "--find", "qqq")
    assert "Pairs that hold 'qqq': 0" in nothing and rows(nothing) == []


@pytest.mark.usefixtures("read")
def test_json_is_the_whole_reading(cli: CommandLine, base: Path, files: HeadFiles) -> None:
    printed = cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN, "--json")
    expected = aftertune.open_heads("run").to_dict()
    assert json.loads(printed) == json.loads(json.dumps(expected))
    assert (expected["model"], expected["n_words"], expected["n_with_vector"]) == ("base", 300, 299)
    assert expected["pairs"][0].keys() == {"layer", "head", "rank", "word_a", "word_b", "n_neurons"}


def test_the_second_call_loads_no_model(
    read: str, cli: CommandLine, base: Path, files: HeadFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(tmp_path)
    refuse_to_load(monkeypatch)
    assert cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN) == read
    assert snapshot(tmp_path) == before
    fewer = cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN, "--layers", "1-2", "--json")
    assert json.loads(fewer)["layers"] == [1, 2]


def test_layers_that_are_there_are_not_read_again(
    cli: CommandLine, base: Path, files: HeadFiles, tmp_path: Path
) -> None:
    first = cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN, "--layers", "0,2", "--json")
    assert {row["layer"] for row in json.loads(first)["pairs"]} == {0, 2}
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/heads").rglob("*.parquet")}
    cli.succeeds("heads", base, "--run", "run", *files.options, *PLAIN)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/heads").rglob("*.parquet")}
    assert parts.items() < after.items() and len(after) == len(parts) + 4
    assert aftertune.open_heads("run").layers == (0, 1, 2)


def test_coverage_can_be_lowered(cli: CommandLine, base: Path, files: HeadFiles) -> None:
    lines = files.vectors.read_text().splitlines(keepends=True)
    files.vectors.write_text("".join(lines[:100]))
    given = ("heads", base, "--run", "run", *files.options, *PLAIN, "--layers", "0")
    assert cli.refuses(*given).startswith(
        "101 of the 300 words of words.txt have a vector in vectors.txt; 50% of them "
    )
    assert cli.succeeds(*given, "--min-coverage", "0.3").startswith("101 of 300 words have a vector; ")


def test_compare_and_report_take_words_layers_and_verbs(
    cli: CommandLine, base: Path, tuned: Path, files: HeadFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (
        "compare",
        base,
        tuned,
        "--run",
        "run",
        *files.options,
        "--layers",
        "0-1",
        "--skip",
        "location",
        "--skip",
        "attribution",
        "--skip",
        "concepts",
        *PLAIN,
    )
    told = cli.succeeds(*given, "--verbs", files.verbs)
    assert told.endswith("\nReport: run/report.html\n")
    first = json.loads((tmp_path / "run/comparison.json").read_text())
    assert (first["heads"]["layers"], first["heads"]["verbs_name"]) == ([0, 1], "the words of verbs.txt")
    assert first["heads"]["verbs_present"] == ["write", "bababa"] and "attribution" not in first
    refuse_to_load(monkeypatch)
    assert json.loads(cli.succeeds("report", "run", "--json")) == first
    other = tmp_path / "other.txt"
    other.write_text("make, find")
    again = json.loads(cli.succeeds("report", "run", "--verbs", other, "--json"))
    assert again["heads"]["verbs_present"] == ["make", "find"]
    assert again["heads"]["figure2"] == first["heads"]["figure2"]
    assert json.loads(cli.succeeds("report", "run", "--json")) == again
    usual = json.loads(cli.succeeds(*given, "--json"))
    assert usual["heads"]["verbs_name"] == "instruction verbs" and len(usual["heads"]["verbs_present"]) > 30


def test_heads_can_be_skipped_or_not(
    cli: CommandLine, base: Path, tuned: Path, files: HeadFiles, prompts: Path
) -> None:
    given = ("compare", base, tuned, "--run", "run", "--prompts", prompts, "--limit", "1", "--max-new-tokens", "2")
    given = (*given, "--check", "0", "--skip", "concepts", "--device", "cpu", "--json")
    alone = json.loads(cli.succeeds(*given, "--skip", "heads"))
    assert "heads" not in alone and alone["attribution"]["table2"]
    both = json.loads(cli.succeeds(*given, *files.options, "--layers", "2"))
    assert both["heads"]["layers"] == [2] and both["attribution"] == alone["attribution"]


@pytest.mark.parametrize("command", ["heads", "compare", "report"])
def test_help_names_the_options(cli: CommandLine, command: str) -> None:
    options = {"heads": ("--words", "--vectors", "--layers", "--find", "--json"), "report": ("--verbs",)}
    shown = cli.succeeds(command, "--help")
    for option in options.get(command, ("--words", "--vectors", "--layers", "--verbs", "--skip")):
        assert option in shown
