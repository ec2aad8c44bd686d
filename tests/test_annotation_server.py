"""A server that fails in every way: all annotations arrive, none is asked twice or lost, the key stays where it is."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import openai._base_client
import polars as pl
import pytest

from aftertune.errors import AnnotationError, RunError
from aftertune.explainers.annotation.cost import Estimate
from aftertune.explainers.annotation.result import (
    ANNOTATIONS,
    annotators,
    open_annotations,
    recall_annotations,
    server_folder,
    write_annotations,
)
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.models.served import connection
from aftertune.runs.run import RunFolder
from aftertune.study.annotate import annotate
from annotation_samples import save_concepts
from fault_server import NO_ANSWERS, STALL_SECONDS, Body, about_of, fault_server, plain_answer, step_of

KEY = "sk-secret-key-0123456789"
LAYERS = [[["red", "blue"], ["odd", "even"]], [["red", "blue"], ["run", "walk"]]]
ONCE = AnnotationSettings(repeats=1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(connection, "BROKEN_DELAY_SECONDS", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_concepts(tmp_path / "run", {"model": LAYERS})


def files(run: Path) -> dict[str, tuple[int, int]]:
    return {str(one): (one.stat().st_ino, one.stat().st_mtime_ns) for one in run.rglob("answers/*/*.json")}


def test_every_concept_is_annotated_and_equal_requests_are_shared(run: Path) -> None:
    with fault_server() as served:
        found = annotate(run, served.address, "m", ONCE)
        assert Counter(step_of(body) for body in served.answered) == {"description": 3, "tasks": 2, "level": 2}
        assert all(body["temperature"] == 0 and body["top_p"] == 0.9 for body in served.answered)
    assert found.schema == pl.Schema(ANNOTATIONS)
    assert found.rows(named=True)[0] == {
        **{"role": "model", "layer": 0, "expert": 0, "rank": 1, "repeat": 0, "description": "things like red"},
        **{"scenarios": ["writing", "coding"], "level": "syntax", "unparsed": []},
    }
    assert found["description"].to_list() == ["things like red", None, "things like red", "things like run"]
    assert found.row(1, named=True)["unparsed"] == [] and found.row(1, named=True)["scenarios"] is None
    folder = RunFolder.open(run)
    kept = open_annotations(folder)
    assert kept is not None and kept.equals(found)
    about = recall_annotations(folder)
    assert about and about["counts"] == {
        "requests": {"description": 3, "tasks": 2, "level": 2},
        "unparsed": {"description": 0, "tasks": 0, "level": 0},
        **{"input_tokens": 700, "output_tokens": 49},
    }
    assert (about["annotator"]["kind"], about["annotator"]["weak"]) == ("server", False) and about["settings"][
        "repeats"
    ] == 1


def test_repeats_differ_in_temperature_and_only_descriptions_are_repeated(run: Path) -> None:
    with fault_server() as served:
        found = annotate(run, served.address, "m", AnnotationSettings(repeats=3))
        asked = Counter((step_of(body), body["temperature"]) for body in served.answered)
    assert asked == {("description", 0): 3, ("description", 1): 6, ("tasks", 0): 2, ("level", 0): 2}
    assert found["repeat"].to_list() == [0, 1, 2] * 4


def test_a_second_call_asks_nothing_and_more_repeats_only_what_is_new(run: Path) -> None:
    with fault_server() as served:
        first = annotate(run, served.address, "m", ONCE)
        before, n_answered = files(run), len(served.answered)
        assert annotate(run, served.address, "m", ONCE).equals(first)
        assert len(served.seen) == n_answered and files(run) == before
        annotate(run, served.address, "m", AnnotationSettings(repeats=2))
        assert len(served.seen) == n_answered + 3


FAULTS = ["429", "500", "time-out", "half", "cut", "503", *NO_ANSWERS]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_survived_and_no_answer_is_asked_twice(
    run: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "time-out":
        monkeypatch.setattr(connection, "TIMEOUT_SECONDS", STALL_SECONDS / 2)
    with fault_server(faults=[fault]) as served:
        found = annotate(run, served.address, "m", ONCE)
        times = [at for at, body, _ in served.seen if about_of(body) == "red, blue"]
        assert len(served.answered) == 7 and len(served.seen) == 14
    assert found["description"].null_count() == 1 and found["unparsed"].list.len().sum() == 0
    if fault == "429":
        assert times[1] - times[0] >= 1.0, "Retry-After: 1"


def test_all_faults_one_after_another(run: Path) -> None:
    with fault_server(faults=["500", "half", "wrong json", "cut", "503", "no choices"]) as served:
        annotate(run, served.address, "m", ONCE)
        assert len(served.answered) == 7
    assert len(files(run)) == 7


ODD = {
    **dict.fromkeys(("content list", "content parsed", "no utf-8"), 49),
    **dict.fromkeys(("usage text", "usage list", "usage negative", "endless numbers"), 0),
    **dict.fromkeys(("reasons", "surrogates"), 49),
}


@pytest.mark.parametrize(("odd", "n_tokens"), ODD.items())
def test_an_answer_in_an_odd_envelope_is_paid_for_once_and_kept(run: Path, odd: str, n_tokens: int) -> None:
    with fault_server(odd=odd) as served:
        found = annotate(run, served.address, "m", ONCE)
        assert annotate(run, served.address, "m", ONCE).equals(found) and len(served.seen) == 7
    assert found["description"].to_list() == ["things like red", None, "things like red", "things like run"]
    assert found["scenarios"].null_count() == 1 and found["unparsed"].list.len().sum() == 0
    about = recall_annotations(RunFolder.open(run))
    assert about and about["counts"]["output_tokens"] == n_tokens


@pytest.mark.parametrize("fault", ["large", "bomb"])
def test_an_answer_without_end_is_read_so_far_only(run: Path, fault: str) -> None:
    with fault_server(faults=[fault]) as served:
        with pytest.raises(AnnotationError, match="answered with more than 4 MB, which is no answer"):
            annotate(run, served.address, "m", AnnotationSettings(repeats=1, concurrency=1))
        assert len(served.seen) == 1 and not files(run)


def test_an_error_that_is_no_text_is_told(run: Path) -> None:
    with (
        fault_server(faults=["nested error"] * 9) as served,
        pytest.raises(AnnotationError, match="answered: ") as said,
    ):
        annotate(run, served.address, "m", ONCE)
    assert len(str(said.value)) < 1000


@pytest.mark.parametrize("held", ["", "[1]", '{"text": "a"}', "[" * 100_000, "\0", '{"text": "x", "finish": NaN}'])
def test_a_kept_answer_that_can_not_be_read_is_asked_again(run: Path, held: str) -> None:
    with fault_server() as served:
        first = annotate(run, served.address, "m", ONCE)
        broken = Path(next(iter(files(run))))
        whole = broken.read_text()
        broken.write_text(held)
        assert annotate(run, served.address, "m", ONCE).equals(first) and len(served.seen) == 8
    assert broken.read_text() == whole


def test_what_an_earlier_version_kept_of_an_odd_answer_is_read(run: Path) -> None:
    with fault_server() as served:
        first = annotate(run, served.address, "m", ONCE)
        for file in map(Path, files(run)):
            row = json.loads(file.read_text())
            row |= {"text": [{"type": "text", "text": row["text"]}], "input_tokens": "abc"}
            file.write_text(json.dumps(row))
        assert annotate(run, served.address, "m", ONCE).equals(first) and len(served.seen) == 7


def odd_answers(step: str, about: str, body: Body) -> str:
    if step == "description":
        return {"red": "", "odd": "REFUSE", "run": plain_answer(step, about, body)}[about.split(",")[0]]
    return "poetry; coding" if step == "tasks" else "CUT syntax"


def test_answers_outside_the_categories_are_counted_and_not_guessed(run: Path) -> None:
    with fault_server(answer=odd_answers) as served:
        found = annotate(run, served.address, "m", ONCE)
        n_asked = len(served.seen)
        annotate(run, served.address, "m", ONCE)
        assert len(served.seen) == n_asked, "an unusable answer is paid for, and not asked again"
    assert found["unparsed"].to_list() == [["description"]] * 3 + [["tasks", "level"]]
    assert found.select("scenarios", "level").null_count().row(0) == (4, 4)
    about = recall_annotations(RunFolder.open(run))
    assert about and about["counts"]["unparsed"] == {"description": 2, "tasks": 1, "level": 1}


def test_a_request_that_is_blocked_is_a_refusal(run: Path) -> None:
    with fault_server(faults=["blocked"]) as served:
        found = annotate(run, served.address, "m", ONCE)
        assert len(served.seen) == 3
    assert found["unparsed"].to_list() == [["description"]] * 4


def test_a_response_format_that_is_refused_is_left_out_from_then_on(run: Path) -> None:
    with fault_server(rejects_format=True) as served:
        found = annotate(run, served.address, "m", AnnotationSettings(repeats=1, concurrency=1))
        assert ["response_format" in body for _, body, _ in served.seen] == [True] + [False] * 7
    about = recall_annotations(RunFolder.open(run))
    assert about and about["annotator"]["left_out"] == ["response_format"] and found["level"].null_count() == 1
    assert about["annotator"]["structured"] == "auto"


@pytest.mark.parametrize(("structured", "sent"), [("auto", True), ("on", True), ("off", False)])
def test_structured_answers_are_asked_for(run: Path, structured: str, sent: bool) -> None:
    with fault_server() as served:
        annotate(run, served.address, "m", AnnotationSettings(repeats=1, structured=structured))
        formats = [body.get("response_format") for body in served.answered]
    assert all((one is not None) == sent for one in formats)
    if sent:
        names = {one["json_schema"]["name"] for one in formats if one}
        assert names == {"description", "tasks", "level"}


def test_structured_answers_that_must_be_are_not_done_without(run: Path) -> None:
    with fault_server(rejects_format=True) as served, pytest.raises(AnnotationError, match="response_format is not"):
        annotate(run, served.address, "m", AnnotationSettings(structured="on"))
    assert not files(run)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("500", "answered: "), ("cut", "cut the connection"), ("401", "Set OPENAI_API_KEY"), ("400", "answered: ")],
)
def test_a_server_that_fails_for_good(
    run: Path, fault: str, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "RETRIES", 2)
    caplog.set_level(logging.DEBUG)
    with fault_server(faults=[fault] * 9) as served, pytest.raises(AnnotationError) as failed:
        annotate(run, served.address, "m", AnnotationSettings(repeats=1, concurrency=1))
    assert reason in str(failed.value) and KEY not in str(failed.value)
    assert KEY not in caplog.text
    assert len(served.seen) == {"401": 1, "400": 2}.get(fault, 3), "then nothing more is asked"


def test_what_was_paid_for_before_a_failure_is_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RETRIES", 0)
    with fault_server(delay_seconds=0.4) as served:
        real = served.next_fault

        def fail_late(body: Body, headers: dict[str, str]) -> str | None:
            if not about_of(body).startswith("odd"):
                return real(body, headers)
            time.sleep(0.2)  # the two others are under way by now
            return "500"

        served.next_fault = fail_late  # type: ignore[method-assign]
        with pytest.raises(AnnotationError):
            annotate(run, served.address, "m", ONCE)
        n_kept = len(served.answered)
        assert len(files(run)) == n_kept == 2, "those under way came to their end"
        served.next_fault = real  # type: ignore[method-assign]
        annotate(run, served.address, "m", ONCE)
        assert len(served.answered) == 7


def test_no_more_requests_at_a_time_than_allowed(tmp_path: Path) -> None:
    run = save_concepts(tmp_path / "run", {"model": [[[f"word{number}", "x"] for number in range(4)]] * 1})
    for allowed in (1, 3):
        with fault_server(delay_seconds=0.05) as served:
            annotate(run, served.address, f"m{allowed}", AnnotationSettings(repeats=3, concurrency=allowed))
            assert served.most_at_once == allowed


def test_a_limit_stops_and_the_next_call_goes_on(run: Path) -> None:
    with fault_server() as served:
        for n_answered in (2, 4, 6):
            with pytest.raises(AnnotationError, match="2 requests that were allowed are used up"):
                annotate(run, served.address, "m", AnnotationSettings(repeats=1, max_requests=2))
            assert len(served.seen) == n_answered
            assert open_annotations(RunFolder.open(run)) is None
        annotate(run, served.address, "m", AnnotationSettings(repeats=1, max_requests=2))
        assert len(served.seen) == 7


def test_the_estimate_is_shown_before_anything_is_asked(run: Path) -> None:
    shown: list[Estimate] = []

    def confirm(expected: Estimate) -> bool:
        shown.append(expected)
        return len(shown) > 1

    with fault_server() as served:
        with pytest.raises(AnnotationError, match="Nothing was asked"):
            annotate(run, served.address, "m", ONCE, confirm=confirm)
        assert not served.seen
        annotate(run, served.address, "m", ONCE, confirm=confirm)
        annotate(run, served.address, "m", ONCE, confirm=confirm)
        assert len(shown) == 2, "there is nothing to confirm where nothing is left"
        bodies = [one for one in served.answered if step_of(one) == "description"]
    expected = shown[0]
    # Three different descriptions are asked, and of each at most tasks and level.
    assert (expected.descriptions, expected.tasks_and_levels, expected.requests) == (3, 6, 9)
    assert expected.output_tokens == 9 * 15
    characters = sum(len(one["content"]) for body in bodies for one in body["messages"])
    later = [
        sum(len(one["content"]) for one in body["messages"])
        - len(about_of(body))
        + len("words for the months of a year")
        for step in ("tasks", "level")
        for body in served.answered
        if step_of(body) == step
    ]
    assert expected.input_tokens == round(characters / 4 + 6 * sum(later) / len(later) / 4)
    assert str(expected).startswith("At most 9 requests are left (3 descriptions, 6 tasks and levels): about ")


def test_the_estimate_knows_what_is_answered(run: Path) -> None:
    shown: list[Estimate] = []
    with fault_server() as served:
        with pytest.raises(AnnotationError):
            annotate(run, served.address, "m", AnnotationSettings(repeats=1, max_requests=4))
        with pytest.raises(AnnotationError):
            annotate(run, served.address, "m", ONCE, confirm=lambda one: bool(shown.append(one)))
    assert (shown[0].descriptions, shown[0].tasks_and_levels) == (0, 3)


def test_the_key_is_sent_and_kept_nowhere(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with fault_server(answer=lambda step, *_: json.dumps({step: f"{KEY} things"})) as served:
        annotate(run, served.address, "m", ONCE)
        assert served.seen[0][2]["authorization"] == f"Bearer {KEY}"
    assert not [one for one in run.rglob("*") if one.is_file() and KEY.encode() in one.read_bytes()]
    assert KEY not in caplog.text


def test_without_a_key_a_placeholder_is_sent(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with fault_server() as served:
        annotate(run, served.address, "m", ONCE)
        assert served.seen[0][2]["authorization"] == "Bearer no-key"


def test_two_models_of_a_run_and_only_the_first_components(tmp_path: Path) -> None:
    run = save_concepts(tmp_path / "run", {"base": LAYERS, "tuned": LAYERS[:1]})
    with fault_server() as served:
        found = annotate(run, served.address, "org/m", AnnotationSettings(repeats=1, components=1))
        assert found.select("role", "layer", "rank").rows() == [("base", 0, 1), ("base", 1, 1), ("tuned", 0, 1)]
        assert len(served.answered) == 3, "one description, its tasks and its level serve all three"
        annotate(run, served.address, "other", ONCE)
    folder = RunFolder.open(run)
    assert annotators(folder) == ("org%2Fm", "other")
    newest, first = open_annotations(folder), open_annotations(folder, "org%2Fm")
    assert newest is not None and newest.height == 6 and first is not None and first.equals(found)
    with pytest.raises(RunError, match=r"no annotations of 'none'\. It has those of org%2Fm, other"):
        open_annotations(folder, "none")


def test_killed_again_and_again_no_answer_is_lost_or_asked_twice(run: Path) -> None:
    command = [sys.executable, "-m", "aftertune", "annotate", str(run), "--model", "m", "--repeats", "4"]
    with fault_server(delay_seconds=0.15) as served:
        command += ["--server", served.address, "--concurrency", "1"]
        for n_more in (2, 3):
            kept = files(run)
            process = subprocess.Popen(command, env=os.environ.copy(), stderr=subprocess.PIPE)
            wait_for(process, run, len(kept) + n_more)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert kept.items() <= files(run).items()
        kept = files(run)
        ended = subprocess.run(command, env=os.environ.copy(), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert kept.items() <= files(run).items() and len(files(run)) == 3 * 4 + 4
        asked = Counter(json.dumps([body["messages"], body["temperature"]]) for body in served.answered)
        n_lost = 2  # at most the one request that was under way at each death
        assert len(files(run)) <= sum(asked.values()) <= len(files(run)) + n_lost
    assert KEY not in ended.stdout + ended.stderr
    assert "9 of 16" not in ended.stdout and "12 of 16 annotations describe something" in ended.stdout


def wait_for(process: Any, run: Path, n: int) -> None:
    started = time.monotonic()
    while len(files(run)) < n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - started < 60
        time.sleep(0.005)


@pytest.mark.parametrize("name", ["words", "People", "local smol", "server words", "..", "newest.json"])
def test_a_model_that_is_called_as_an_annotator_of_ours_lies_beside_it(run: Path, name: str) -> None:
    folder = RunFolder.open(run)
    write_annotations(folder, "words", pl.DataFrame(schema=ANNOTATIONS), {})
    with fault_server() as served:
        annotate(run, served.address, name, ONCE)
    assert annotators(folder) == (f"server {name}", "words")
    ours, newest = open_annotations(folder, "words"), open_annotations(folder)
    assert ours is not None and ours.is_empty() and newest is not None and newest.height == 4


def test_long_names_of_models_that_begin_alike_are_told_apart() -> None:
    names = [server_folder(f"/models/{'deep/' * 40}{quantised}.gguf") for quantised in ("Q4", "Q8")]
    assert names[0] != names[1] and all(len(name) < 140 for name in names)
    assert server_folder("org/model") == "org%2Fmodel"
