"""Run folders that cannot be begun, continued or reported: one message, exit code 2, the folder as it was."""

import json
import os
import shutil
from pathlib import Path

import pytest

from command_line import QUICK, CommandLine, edit_json, save_checkpoint
from test_bad_input_attribute import fail_to_write
from tiny import make_model

pytest_plugins = ("cli_fixtures",)

REMEDY = "Repeat it with its own settings to continue it, or give another folder."


def refusal(cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: str | Path, *more: str) -> str:
    return cli.refuses("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK, *more)


def test_the_same_command_is_taken(cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path) -> None:
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)


def test_place_that_is_a_file_or_below_one(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        assert refusal(cli, base, tuned, prompts, place).startswith(
            f"{place}/run.json could not be written: {file} is a file, not a folder. Choose a place that can be written"
        )


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc here")
def test_place_that_no_one_can_write(cli: CommandLine, base: Path, tuned: Path, prompts: Path) -> None:
    message = refusal(cli, base, tuned, prompts, "/proc/aftertune")
    assert message.startswith("/proc/aftertune/run.json could not be written: ")


def test_folder_of_something_else(cli: CommandLine, base: Path, tuned: Path, prompts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "dear-john.txt").touch()
    assert refusal(cli, base, tuned, prompts, folder) == (
        f"{folder} is not empty and holds no run. Give a new folder, or that of an earlier run."
    )


@pytest.mark.parametrize("content", [b"", b'{"identity": {', b"[1]", b"\xff\xfe", b'{"identity": {}}'])
def test_damaged_settings_are_made_again(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path, content: bytes
) -> None:
    whole = (run / "run.json").read_bytes()
    (run / "run.json").write_bytes(content)
    message = cli.refuses("report", run)
    assert message.startswith(f"{run}/run.json is damaged: ")
    assert f". The command that measured it, given again, makes that file anew (aftertune compare {base} " in message
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)
    assert (run / "run.json").read_bytes() == whole


def test_every_damaged_file_that_says_what_a_run_is_is_made_again(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path
) -> None:
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)
    files = sorted(path for path in run.glob("*.json") if path.name != "comparison.json")
    whole = {path.name: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(b"")
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)
    assert {path.name: path.read_bytes() for path in files} == whole and len(whole) > 8


OTHER_SETTINGS = {
    "tokens": (("--max-new-tokens", "5"), "attribution.max_new_tokens was 4, is now 5"),
    "two": (
        ("--template", "raw", "--check", "2"),
        'attribution.check was 1, is now 2; attribution.template was "chat", is now "raw"',
    ),
    "dtype": (("--dtype", "float64"), 'settings.dtype was "float32", is now "float64"'),
    "removal": (("--removal", "zeroed"), 'attribution.removal was "mean", is now "zeroed"'),
}


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_other_settings(cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path, name: str) -> None:
    more, expected = OTHER_SETTINGS[name]
    message = refusal(cli, base, tuned, prompts, run, *more)
    assert message == f"{run} holds a run with other settings: {expected}. {REMEDY}"


def test_other_prompts(cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path) -> None:
    message = refusal(cli, base, tuned, prompts, run, "--limit", "5")
    expected = "attribution.prompts.n was 6, is now 5; attribution.prompts.sha256 was "
    assert message.startswith(f"{run} holds a run with other settings: {expected}")


def test_other_checkpoints(cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path) -> None:
    assert refusal(cli, tuned, tuned, prompts, run) == (
        f'{run} holds a run with other settings: base.checkpoint was "{base}", is now "{tuned}". {REMEDY}'
    )


def test_other_weights_under_the_same_name(cli: CommandLine, tuned: Path, prompts: Path, tmp_path: Path) -> None:
    changing = save_checkpoint(tmp_path / "changing", seed=0)
    cli.succeeds("compare", changing, tuned, "--run", "run", "--prompts", prompts, *QUICK)
    before = (tmp_path / "run/base.json").read_text()
    next((tmp_path / "run/attribution/base").iterdir()).unlink()
    make_model(seed=5).save_pretrained(changing)
    message = refusal(cli, changing, tuned, prompts, "run")
    assert message.startswith('run holds a run with other settings: base.fingerprint was "')
    was, now = message.split('"')[1], message.split('"')[3]
    assert was != now and was.removesuffix("...") in before and message.endswith(REMEDY)


def test_fingerprints_of_another_version_are_said_to_be_such(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path
) -> None:
    for kind in ("attribution", "attribution-responses", "attribution-shared"):
        shutil.rmtree(run / kind)  # whose seals name the fingerprint too
    held = json.loads((run / "base.json").read_text())
    assert held["record"].pop("fingerprint_version") == 2
    edit_json(run / "base.json", identity={"fingerprint": "0" * 64}, record=held["record"], sha256=None)
    message = refusal(cli, base, tuned, prompts, run)
    assert message.startswith(f"{run} was begun by another version of Aftertune, which takes the fingerprint of ")
    assert message.endswith(f"Give another folder. What it holds can still be shown: aftertune report {run}.")


@pytest.mark.parametrize("kind", ["attribution-responses", "attribution", "attribution-shared"])
@pytest.mark.parametrize("size", [0, 100])
def test_a_damaged_part_is_made_again(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path, kind: str, size: int
) -> None:
    part = run / kind / ("base-tuned" if kind == "attribution-shared" else "base") / "p3.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:size])
    if kind != "attribution-responses":  # which a report does not read
        message = cli.refuses("report", run)
        assert message.startswith(f"{part} {'has no checksum' if size else 'is empty'}")
        assert " The command that measured it, given again, makes that file anew (aftertune compare " in message
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)
    assert part.read_bytes() == whole


def test_disk_that_is_full_while_parts_are_written(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path, finished: Path
) -> None:
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)
    gone = run / "attribution/tuned/p2.parquet"
    gone.unlink()
    with pytest.MonkeyPatch.context() as patch:
        fail_to_write(patch, 28)
        message = refusal(cli, base, tuned, prompts, run)
    assert message.startswith(f"{gone} could not be written: [Errno 28] No space left on device. Choose a place ")
    assert message.endswith("or make room there; a run that is started again goes on where it stopped.")
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)
    assert gone.read_bytes() == (finished / "attribution/tuned/p2.parquet").read_bytes()


def test_report_of_no_run(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("none", "empty", "file"):
        assert cli.refuses("report", name) == (
            f"There is no run at {name} (no run.json). Give the folder of an earlier run."
        )


def test_report_of_an_unfinished_run(cli: CommandLine, run: Path) -> None:
    (run / "attribution/tuned/p1.parquet").unlink()
    (run / "names.json").unlink()  # which is written after the last part
    assert cli.refuses("report", run) == (
        f"1 of 6 prompts are not measured yet for tuned in {run}. Start the same comparison again; it goes on where it "
        "stopped."
    )
    shutil.rmtree(run / "attribution")
    assert cli.refuses("report", run).startswith("6 of 6 prompts are not measured yet for base")
    (run / "tuned.json").unlink()
    assert cli.refuses("report", run) == f"There is no tuned.json in {run}. Let the run come to its end first."


def test_report_of_a_damaged_run(cli: CommandLine, run: Path) -> None:
    part = run / "attribution/base/p0.parquet"
    part.write_bytes(b"PAR1")
    assert cli.refuses("report", run).startswith(f"{part} has no checksum")
    for name in ("names.json", "prompts.json"):
        before = (run / name).read_text()
        (run / name).write_text("{")
        assert cli.refuses("report", run).startswith(f"{run}/{name} is damaged: ")
        (run / name).write_text(before)
    edit_json(run / "tuned.json", record=None)
    assert cli.refuses("report", run).startswith(f"{run}/tuned.json is damaged: ")


def test_what_killed_processes_left_is_taken_away(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, run: Path
) -> None:
    from aftertune.runs.parts import HOST

    strays = [
        run / f".run.json.{HOST}.999999999.partial",
        run / f"attribution/base/.p0.parquet.{HOST}.99999999.partial",
    ]
    at_work = run / f"attribution-responses/base/.p0.parquet.{HOST}.{os.getppid()}.partial"
    elsewhere = run / "attribution/base/.p0.parquet.another-host.99999999.partial"
    for path in (*strays, at_work, elsewhere):
        path.write_bytes(b"half")
    cli.succeeds("compare", base, tuned, "--run", run, "--prompts", prompts, *QUICK)
    assert [path.exists() for path in strays] == [False, False]
    assert at_work.exists() and elsewhere.exists()


def test_a_folder_with_strays_only_is_empty(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/.run.json.another-host.12.partial").write_bytes(b"{")
    cli.succeeds("compare", base, tuned, "--run", "new", "--prompts", prompts, "--limit", "1", *QUICK)


@pytest.mark.parametrize(("layout", "said"), [(None, "an earlier version"), (99, "a newer version")])
def test_a_run_of_another_version_is_said_to_be_one(cli: CommandLine, run: Path, layout: int | None, said: str) -> None:
    found = json.loads((run / "run.json").read_text())
    found["record"] = {name: value for name, value in found["record"].items() if name != "layout"}
    found["record"] |= {} if layout is None else {"layout": layout}
    (run / "run.json").write_text(json.dumps({name: found[name] for name in ("identity", "record")}))
    assert said in cli.refuses("report", run)
