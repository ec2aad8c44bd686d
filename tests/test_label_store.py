"""Labels on disk: every action at once, the last one holds, undo, a killed process, several raters."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import aftertune
from aftertune.errors import AnnotationError, RunError
from aftertune.labelling.labels import Labels, RaterLabels
from aftertune.labelling.session import Marked, Rated, Undone
from aftertune.labelling.store import append, must_be_named, read_actions, read_labels, read_rater
from aftertune.runs.run import RunFolder
from label_samples import PROMPTS, save_run, session


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_run(tmp_path / "run")


def rating(role: str, helpfulness: int | None, id: str = "birds") -> dict[str, object]:
    return {"prompt": id, "role": role, "helpfulness": helpfulness}


def test_the_last_action_holds_and_is_on_disk(run: Path) -> None:
    folder = RunFolder.open(run)
    for one in (rating("base", 2), rating("base", 3), rating("tuned", 1), rating("tuned", None)):
        append(folder, "ann", [one])
    append(folder, "ann", [{"prompt": "birds", "spans": [(0, 17, 0)]}])
    found = read_rater(folder, "ann")
    assert found.ratings == {("birds", "base"): 3} and found.spans == {"birds": ((0, 17, 0),)}
    lines = (run / "labels" / "ann.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 5 and json.loads(lines[0])["helpfulness"] == 2


def test_undo_takes_back_one_action_after_the_other(run: Path) -> None:
    folder = RunFolder.open(run)
    append(folder, "ann", [rating("base", 2), rating("base", 3)])
    for left in (2, None, None):
        append(folder, "ann", [{"undo": True}])
        assert read_rater(folder, "ann").ratings.get(("birds", "base")) == left
    append(folder, "ann", [rating("base", 4)])
    assert read_rater(folder, "ann").ratings == {("birds", "base"): 4}


def test_a_line_without_its_end_was_never_saved(run: Path) -> None:
    folder, file = RunFolder.open(run), run / "labels" / "ann.jsonl"
    append(folder, "ann", [rating("base", 2)])
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    assert len(read_actions(folder, "ann")) == 1
    append(folder, "ann", [rating("base", 3)])
    assert len(file.read_bytes().splitlines()) == 2 and read_rater(folder, "ann").ratings == {("birds", "base"): 3}


def keep_rating(run: Path, told: "multiprocessing.Queue[int]") -> None:
    for number in range(10_000):
        append(RunFolder.open(run), "ann", [rating("base", number % 4 + 1, f"id-{number}")])
        told.put(number)


def test_what_was_told_to_be_saved_survives_a_kill(run: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=keep_rating, args=(run, told))
    process.start()
    assert process.pid
    last = max(told.get(timeout=60) for _ in range(5))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(read_actions(RunFolder.open(run), "ann")) > last
    append(RunFolder.open(run), "ann", [rating("tuned", 4)])
    assert read_rater(RunFolder.open(run), "ann").ratings["birds", "tuned"] == 4


@pytest.mark.parametrize("line", ["{", "3", '{"prompt": "a", "role": "base", "helpfulness": 5}', '{"spans": [[1, 2]]}'])
def test_a_damaged_line_is_named(run: Path, line: str) -> None:
    append(RunFolder.open(run), "ann", [rating("base", 2)])
    with (run / "labels" / "ann.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=r"ann\.jsonl, line 2 is damaged: .*Take that line out"):
        read_labels(RunFolder.open(run))


@pytest.mark.parametrize("name", ["", "  ", ".hidden", "x" * 21, "a\nb"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(AnnotationError, match="The rater's name is"):
        must_be_named(name)


def test_any_other_name_is_kept(run: Path) -> None:
    for name in ("Ann Müller", "a/../../etc", "日本"):
        append(RunFolder.open(run), must_be_named(f" {name} "), [rating("base", 2)])
    assert list(read_labels(RunFolder.open(run)).raters) == sorted(["Ann Müller", "a/../../etc", "日本"])
    assert {path.parent for path in run.rglob("*.jsonl")} == {run / "labels"}


def test_several_raters_come_to_the_lower_median_and_to_half_of_the_marks() -> None:
    def of(rating: int, *spans: tuple[int, int, int]) -> RaterLabels:
        return RaterLabels({("a", "base"): rating}, {"a": spans} if spans else {})

    labels = Labels({"x": of(1, (0, 4, 0)), "y": of(2, (2, 6, 0)), "z": of(4)})
    assert labels.rating("a", "base") == 2 and labels.rating("a", "tuned") is None
    assert labels.spans("a") == ((0, 6, 0),)  # one of two is half; who marked nothing has no vote
    assert Labels({"x": of(1), "y": of(2)}).rating("a", "base") == 1
    three = Labels({"x": of(1, (0, 4, 0)), "y": of(2, (2, 6, 0)), "z": of(4, (3, 9, 0), (2, 3, 1))})
    assert three.spans("a") == ((2, 6, 0),) and labels.spans("b") is None


def test_what_was_judged_as_arrays() -> None:
    labels = Labels(
        {
            "x": RaterLabels({("birds", "base"): 1, ("odd", "tuned"): 4}, {"emoji": ((0, 5, 0),)}),
            "y": RaterLabels({("birds", "base"): 3}, {"emoji": ((4, 5, 0),)}),
            "z": RaterLabels({("birds", "tuned-2"): 3}),
        }
    )
    first, second = labels.judged_ratings(("base", "tuned"))
    assert np.array_equal(first, [[1, 3, np.nan]], equal_nan=True)
    assert np.array_equal(second, [[4, np.nan, np.nan]], equal_nan=True)
    (characters,) = labels.judged_characters(PROMPTS)
    assert characters[:4, :2].tolist() == [[1, 0], [1, 0], [1, 0], [1, 1]] and np.isnan(characters[:, 2]).all()
    assert len(characters) == len("Say😀twice.Now.") and characters[4:, :2].sum() == 0


def test_the_models_are_hidden_and_their_order_differs_between_prompts_and_raters(run: Path) -> None:
    ann, bob = session(run), session(run, "bob")
    orders = {(one.rater, p.id): one._order(p) for one in (ann, bob) for p in PROMPTS}
    assert set(orders.values()) == {("base", "tuned"), ("tuned", "base")} and ann._order(PROMPTS[0]) == ann._order(
        PROMPTS[0]
    )
    shown = json.dumps([ann.overview(), *(ann.task(number) for number in range(3))])
    assert "base" not in shown and "tuned" not in shown


def test_a_session_keeps_what_it_is_told_and_says_what_the_disk_has(run: Path) -> None:
    one = session(run)
    told = one.rate(0, Rated(answer=1, helpfulness=3))
    assert told["state"]["ratings"] == [None, 3] and told["n_actions"] == 1
    assert one.rate(0, Rated(answer=1, helpfulness=3))["n_actions"] == 1  # sent twice, kept once
    role = one._order(PROMPTS[0])[1]
    assert read_rater(RunFolder.open(run), "ann").ratings == {("birds", role): 3}
    one.mark(0, Marked(spans=[[0, 17, 0]]))
    assert session(run).overview()["prompts"][0]["spans"] == [[0, 17, 0]]
    assert one.undo(Undone(n_actions=2))["state"]["spans"] == []
    assert one.undo(Undone(n_actions=2)) == {"n_actions": 1, "number": None}  # asked twice, undone once
    for spans, why in (
        ([[0, 99, 0]], "does not lie in the prompt"),
        ([[17, 18, 0]], "white space"),
        ([[0, 1, 4]], "4"),
    ):
        with pytest.raises(AnnotationError, match=why):
            one.mark(0, Marked(spans=spans))
    with pytest.raises(AnnotationError, match="no response 2"):
        one.rate(0, Rated(answer=2, helpfulness=1))


def test_open_labels(run: Path) -> None:
    with pytest.raises(RunError, match=r"Nobody labelled .* yet\. Do so first: aftertune label"):
        aftertune.open_labels(run)
    append(RunFolder.open(run), "ann", [rating("base", 2), {"prompt": "odd", "spans": [(0, 3, 0)]}])
    frame = aftertune.open_labels(run)
    assert frame.columns == ["rater", "id", "role", "helpfulness", "spans"]
    assert frame.rows() == [("ann", "birds", "base", 2, None), ("ann", "odd", None, None, [[0, 3, 0]])]


def test_odd_text_keeps_the_place_of_every_character(run: Path) -> None:
    (message,) = session(run).task(2)["messages"]
    assert message["text"] == "<script>alert(1)</script> a␦b"


def test_two_processes_of_one_rater_lose_no_label(run: Path) -> None:
    """Each writes while the other may be cutting off what it takes for an unfinished line."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=rate_often, args=(run, role)) for role in ("base", "tuned")]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
        assert one.exitcode == 0
    actions = read_actions(RunFolder.open(run), "ann")
    for role in ("base", "tuned"):
        assert [one["prompt"] for one in actions if one["role"] == role] == [f"p{number}" for number in range(40)]


def rate_often(run: Path, role: str) -> None:
    folder = RunFolder.open(run)
    for number in range(40):
        append(folder, "ann", [rating(role, 1, f"p{number}")])


def test_a_symbolic_link_is_neither_read_nor_written(run: Path, tmp_path: Path) -> None:
    folder, secret = RunFolder.open(run), tmp_path / "secret"
    secret.write_text('{"prompt": "birds", "role": "base", "helpfulness": 4}\n', "utf-8")
    (run / "labels").mkdir()
    for name in ("ann.jsonl", ".ann.jsonl.lock"):
        (run / "labels" / name).symlink_to(secret)
        for follow in (lambda: append(folder, "ann", [rating("base", 1)]), lambda: read_rater(folder, "ann")):
            with pytest.raises(RunError, match="is a symbolic link, which is not followed"):
                follow()
        (run / "labels" / name).unlink()
    (run / "labels").rmdir()
    (run / "labels").symlink_to(tmp_path)
    with pytest.raises(RunError, match="is a symbolic link, which is not followed"):
        append(folder, "ann", [rating("base", 1)])
    assert len(secret.read_text("utf-8").splitlines()) == 1


def test_labels_and_runs_are_readable_by_their_owner_only(run: Path) -> None:
    append(RunFolder.open(run), "ann", [rating("base", 1)])
    assert run.stat().st_mode & 0o077 == 0 and (run / "labels" / "ann.jsonl").stat().st_mode & 0o077 == 0
