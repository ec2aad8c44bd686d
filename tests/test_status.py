"""How far a run is, asked from outside: while it works, after it was killed, and when it is through."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aftertune
from aftertune.errors import RunError
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Stage
from aftertune.study import status
from aftertune.study.forecast import Forecast
from aftertune.study.status import FILE, Reporter, read_status
from command_line import CommandLine, edit_json, third_party_warnings

pytest_plugins = ("cli_fixtures",)
HEADS, REPORT = Stage("base", "heads", "heads"), Stage(step="report")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder.start(tmp_path / "run", {}, {})
    run.remember("names.json", {})
    return run


def begun(run: RunFolder, forecast: Forecast | None = None) -> Reporter:
    reporter = Reporter(lambda *step: forecast.tell(*step) if forecast else None)
    reporter.begin(run, forecast)
    return reporter


def test_a_run_under_way_tells_its_stage_its_share_and_its_process(folder: RunFolder) -> None:
    begun(folder, Forecast({HEADS: 60.0, REPORT: 20.0}))(HEADS, 1, 4)
    found = read_status(folder.address)
    assert (found.state, found.stage, found.here, found.process) == ("under way", "base: heads", 0.25, os.getpid())
    assert found.share == pytest.approx(15 / 80) and found.seconds_left is not None and found.begun <= found.told


def test_it_is_told_every_few_seconds_only(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = begun(folder)
    reporter(HEADS, 1, 4)
    reporter(HEADS, 2, 4)
    assert read_status(folder.address).here == 0.25 and read_status(folder.address).share is None
    monkeypatch.setattr(status, "SECONDS_BETWEEN", 0.0)
    reporter(HEADS, 2, 4)
    assert read_status(folder.address).here == 0.5


def test_what_nobody_works_at_is_stopped(folder: RunFolder) -> None:
    begun(folder)(HEADS, 1, 4)
    record = folder.read_json(FILE)["record"]
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder.remember(FILE, record | {"process": ended.pid})
    assert read_status(folder.address).state == "stopped"
    folder.remember(FILE, record | {"begun": 1000.0})
    assert read_status(folder.address).state == "stopped", "another process has that number now"
    folder.remember(FILE, record | {"host": "elsewhere"})
    assert read_status(folder.address).state == "under way", "on another machine, heard of just now"
    folder.remember(FILE, record | {"host": "elsewhere", "told": time.time() - 1000})
    assert read_status(folder.address).state == "stopped"


def test_a_run_that_does_not_exist_yet_is_not_begun_by_telling_of_it(tmp_path: Path) -> None:
    begun(RunFolder.start(tmp_path / "run", {}, {}))(HEADS, 1, 4)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_holds_no_status(run: Path, cli: CommandLine) -> None:
    assert not (run / FILE).exists() and read_status(run).state == "finished"
    assert json.loads(cli.succeeds("status", run, "--json"))["state"] == "finished"
    (run / "comparison.json").unlink()
    assert "not finished" in cli.succeeds("status", run)


def test_damage_and_nothing_are_told(folder: RunFolder, tmp_path: Path, cli: CommandLine) -> None:
    begun(folder)(HEADS, 1, 4)
    edit_json(Path(folder.path(FILE)), record={"stage": "x"}, sha256=None)
    with pytest.raises(RunError, match=r"status\.json is damaged"):
        read_status(folder.address)
    assert "There is no run at" in cli.refuses("status", tmp_path / "none")


def test_a_comparison_that_is_killed_can_be_asked_after(
    base: Path, tuned: Path, prompts: Path, tmp_path: Path, cli: CommandLine
) -> None:
    run = tmp_path / "killed"

    class KilledError(Exception):
        pass

    def killing(stage: Stage, done: float, total: float) -> None:  # noqa: ARG001
        if stage.step == "attribution" and stage.role == "tuned":
            raise KilledError

    with third_party_warnings(), pytest.raises(KilledError):
        given = {"prompts": prompts, "max_new_tokens": 4, "check": 0, "only": "attribution", "device": "cpu"}
        aftertune.compare(aftertune.Study(base, tuned, run=run, **given), progress=killing)
    told = json.loads(cli.succeeds("status", run, "--json"))
    assert told["state"] == "under way" and told["stage"].startswith("base"), "this very process lives"
    assert "heard of" in cli.succeeds("status", run)
