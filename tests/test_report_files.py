"""Single tables, figures and methods of a saved run as files; what next steps and methods say of the run itself."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

import aftertune
from aftertune.report.commands import in_lines, parts_of
from aftertune.runs.roles import Pair
from aftertune.statistics.finding import Finding, Part, Verdict
from aftertune.statistics.verdict import Addresses, judge
from aftertune.study.made import command_of, options_of
from aftertune.study.saved import _for_pair
from aftertune.study.study import Study
from command_line import CommandLine, snapshot

pytestmark = pytest.mark.usefixtures("drawn")

pytest_plugins = ("cli_fixtures",)


def test_parts_of_a_report_are_written_one_by_one(cli: CommandLine, run: Path) -> None:
    cli.succeeds("report", run)  # once more, since its next steps name the folder that it lies in
    before = snapshot(run)
    names = ("table2.tex", "table_2.csv", "new/scores.pdf", "scores.svg", "methods.md", "mine.html")
    told = cli.succeeds("report", run, *(word for name in names for word in ("--out", name)))
    assert told == f"Written: {', '.join(names)}\n" and snapshot(run) == before, "the run itself is left alone"
    assert (cli.folder / "table_2.csv").read_text() == (run / "tables" / "table2.csv").read_text()
    assert (cli.folder / "scores.svg").read_text() == (run / "figures" / "scores.svg").read_text()
    assert (cli.folder / "new" / "scores.pdf").read_bytes().startswith(b"%PDF-")
    assert (cli.folder / "mine.html").read_text() == (run / "report.html").read_text()
    table = (cli.folder / "table2.tex").read_text()
    assert r"\label{tab:table2}" in table and r"\caption{How densely" in table and "& base & tuned &" in table
    assert table == (run / "tables" / "table2.tex").read_text()


def test_what_no_file_can_be_made_of_is_refused_before_any_is_written(cli: CommandLine, run: Path) -> None:
    assert cli.refuses("report", run, "--out", "methods.md", "--out", "tabel2.tex").endswith("Did you mean table2?")
    assert cli.refuses("report", run, "--out", "figure1.pdf").startswith("The run has no figure 'figure1'. It has: ")
    assert cli.refuses("report", run, "--out", "table2.docx") == (
        "table2.docx ends in '.docx'. Name the file .html, .tex, .md, .csv, .svg, .png or .pdf."
    )


def test_methods_say_what_was_really_done(cli: CommandLine, run: Path) -> None:
    cli.succeeds("report", run, "--out", "methods.md")
    told = (cli.folder / "methods.md").read_text()
    made = json.loads((run / "made.json").read_text())["record"]
    one = json.loads((run / "base.json").read_text())["record"]
    assert (
        told.startswith("# Methods\n\n**What was done.** base (") and f"by Aftertune {aftertune.__version__} on" in told
    )
    for part in (made["date"], one["fingerprint"][:12], f"{one['n_parameters']:,}", "torch", "6 prompts", "float32"):
        assert part in told, part
    assert f"The same again: `{made['command']}`" in told and "<p>" not in told
    assert made["command"] in (run / "report.html").read_text().replace("&#39;", "'")


def test_the_command_asks_for_the_same_study() -> None:
    given = {
        "prompts": "my prompts.jsonl",
        "limit": 3,
        "only": ("heads", "outputs"),
        "difference": False,
        "layers": "0",
    }
    study = Study("a", ["b", "c"], tuned_adapter=["", "x y"], run="runs/one", words="w.txt", noise_draws=2, **given)
    words = shlex.split(command_of(study), comments=True)
    assert words[:5] == ["aftertune", "compare", "a", "b", "c"]
    assert words[5:9] == ["--tuned-adapter", "", "--tuned-adapter", "x y"]
    pairs = dict(zip(words[9::2], words[10::2], strict=True))
    assert pairs["--prompts"] == "my prompts.jsonl" and pairs["--words"] == "w.txt" and pairs["--layers"] == "0"
    assert pairs["--noise-draws"] == "2" and words.count("--only") == 2 and "--no-difference" not in words
    assert command_of(Study("a", "b", heads={"n_top": 7})).endswith("# and from Python: heads.n_top")


def test_next_steps_name_the_run_ready_for_a_shell(cli: CommandLine, run: Path, base: Path, tuned: Path) -> None:
    found = json.loads(cli.succeeds("report", run, "--json"))
    commands = [step["command"] for step in found["verdict"]["next"]]
    assert commands and not any(word in command for command in commands for word in ("BASE", "TUNED", "RUN", "NEW_"))
    assert any(shlex.split(one)[2:4] == [str(base), str(tuned)] for one in commands)
    assert any(f"--reuse {run}" in one for one in commands)
    base_at, tuned_at = {"checkpoint": "a b", "adapter": None, "revision": "v1"}, {"checkpoint": "c", "adapter": "d'e"}
    at = Addresses.of(base_at, tuned_at, "my run", "my prompts.jsonl")
    assert shlex.split(at.prompts) == ["--prompts", "my prompts.jsonl"]
    assert shlex.split(at.models) == ["a b", "c", "--base-revision", "v1", "--tuned-adapter", "d'e"]
    assert shlex.split(at.beside("location")) == ["--run", "my run-location", "--reuse", "my run"]


def test_next_steps_are_taken_when_they_are_pasted(
    cli: CommandLine, run: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies: list[Study] = []

    def stop(study: Study, *_: object) -> None:
        studies.append(study)
        raise aftertune.RunError("Stopped.")

    monkeypatch.setattr("aftertune.study.compare.run_study", stop)
    steps = aftertune.write_report(run).verdict.steps
    for step in steps:
        assert cli.refuses(*shlex.split(step.command.replace("FILE", str(prompts)))[1:]) == "Stopped."
    assert [study.only for study in studies] == [("outputs",), ("outputs",), ("location",)]
    assert {study.device for study in studies} == {"cpu"} and studies[0].prompts == str(prompts)


def test_next_steps_are_on_the_footing_of_their_run() -> None:
    given = {"limit": 4, "dtype": "bfloat16", "max_new_tokens": 20, "words": "w.txt", "noise_draws": 2, "layers": "0-3"}
    options = options_of(Study("a", "b", skip=("location",), template="tuned", prompts="p.jsonl", **given))
    at = Addresses(models="a b", run="run", prompts=" --prompts p.jsonl", options=options)
    moved = Finding("a.moved", "12% moved", "n", Verdict.NOT_TESTED, part=Part.CHANGE)
    prompts, _, location = judge([moved], at).steps
    of_all = ["--limit", "4", "--template", "tuned"]
    words = shlex.split(prompts.command)
    assert words[:10] == ["aftertune", "compare", "a", "b", "--prompts", "FILE", *of_all]
    assert words[10:14] == ["--skip", "location", "--dtype", "bfloat16"]
    assert set(words[14:-4:2]) == {"--max-new-tokens", "--noise-draws", "--words", "--layers"}
    assert words[-4:] == ["--run", "run-prompts", "--reuse", "run"]
    words = shlex.split(location.command)
    assert words[4:] == [
        *("--prompts", "p.jsonl", "--only", "location", *of_all, "--dtype", "bfloat16"),
        *("--run", "run-location", "--reuse", "run"),
    ]
    alone = judge([], at).steps[1].command  # outputs, of which noise draws are
    assert "--only outputs" in alone and "--noise-draws 2" in alone and "--skip" not in alone and "w.txt" not in alone


def test_the_options_of_stages_are_those_of_two_models() -> None:
    roles, words = ["base", "tuned", "tuned-2"], ["--limit", "4", "--template", "tuned"]
    assert _for_pair(words, Pair("tuned", "tuned-2"), roles) == ["--limit", "4", "--template", "base"]
    assert _for_pair(words, Pair("base", "tuned-2"), roles) == ["--limit", "4"]
    assert _for_pair(words, Pair("base", "tuned"), roles) == words


@pytest.mark.parametrize("width", [1, 30, 60, 1000])
def test_a_command_in_lines_is_the_same_to_a_shell_and_no_option_is_broken(width: int) -> None:
    command = shlex.join(["aftertune", "compare", "my base", "it's", "--tuned-adapter", "", "--prompts", "a b", "--x"])
    shown = in_lines(command, width)
    script = f"set -- {shown}; for word; do printf '%s\\n' \"$word\"; done"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:-1] == shlex.split(command)
    parts = parts_of(command)
    assert parts[2:] == ["'my base'", "'it'\"'\"'s'", "--tuned-adapter ''", "--prompts 'a b'", "--x"]
    assert all(any(part in line for line in shown.splitlines()) for part in parts)
    assert len(shown.splitlines()) == {1: len(parts), 30: 4, 60: 2, 1000: 1}[width]


def test_on_a_terminal_next_steps_are_broken_between_options(
    monkeypatch: pytest.MonkeyPatch, cli: CommandLine, run: Path
) -> None:
    plain = cli.succeeds("report", run)
    told = [line for line in plain.splitlines() if line.startswith("  aftertune ")]
    assert told and all(f"--reuse {run}" in line for line in told)
    monkeypatch.setattr("aftertune.cli.output._is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    broken = cli.succeeds("report", run)
    assert "\\\n" in broken and "  ".join(broken.split(" \\\n    ")).split() == plain.split()
    page = (run / "report.html").read_text("utf-8")
    assert page.count('<code class="command"><span>aftertune</span> <span>compare</span>') == len(told)
    assert f"<span>--reuse {run}</span></code>" in page


def test_a_table_that_was_left_out_is_told_so(run: Path) -> None:
    tables = aftertune.open_comparison(run).tables()
    with pytest.raises(
        aftertune.RunError, match=r"There is no table 'table3'\. .*Not measured: outputs, location, heads"
    ):
        tables["table3"]
    assert tables.get("table3") is None and "table2" in tables
