"""A run folder belongs to who comes first, to its owner alone, and is never made again once it was there."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from aftertune.errors import RunError
from aftertune.runs.run import RunFolder
from aftertune.study import saved
from command_line import CommandLine

pytest_plugins = ("cli_fixtures",)


def begin(address: str | Path, dtype: str = "float32") -> RunFolder:
    return RunFolder.start(address, {"base": {}, "settings": {"dtype": dtype}}, {"aftertune": "0"})


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("name", ["run.json", "heads.json"])
def test_of_two_at_the_same_moment_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    for number in range(20):
        barrier = Barrier(2)

        def claim(own: str, folder: Path = tmp_path / str(number), barrier: Barrier = barrier) -> str:
            run = begin(folder, own if name == "run.json" else "float32")
            barrier.wait()
            try:
                run.claim("heads.json", {"top_k": own}, {})
            except RunError as error:
                assert "holds a run with other settings" in str(error)
                return "refused"
            return own

        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(claim, ("float32", "float64")))
        (won,) = {"float32", "float64"} & set(ended)
        assert sorted(ended) == sorted([won, "refused"])
        held = RunFolder.open(tmp_path / str(number))
        assert held.read_json("heads.json")["identity"] == {"top_k": won}
        assert name != "run.json" or held.read_json("run.json")["identity"]["settings"] == {"dtype": won}


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("place", ["memory://claims/run", "local"])
def test_a_run_that_began_meanwhile_is_looked_at_before_anything_is_written(tmp_path: Path, place: str) -> None:
    address = str(tmp_path / "run") if place == "local" else place
    late = begin(address, "float64")
    begin(address).claim("base.json", {"fingerprint": "a"}, {})
    late.place(("a", "b", "c.parquet"))  # to look at what is there is not to agree with it
    for write in (lambda: late.remember("rows.json", {}), lambda: late.write(("a", "b", "c.parquet"), {"x": "y"})):
        with pytest.raises(RunError, match=r'settings\.dtype was "float32", is now "float64"'):
            write()
    assert not RunFolder.open(address).exists("rows.json") and not RunFolder.open(address).exists("a")


def test_what_is_written_is_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes before the name, then the names in every folder that was made."""
    forced = list[int]()
    monkeypatch.setattr(os, "fsync", lambda opened: forced.append(os.fstat(opened).st_ino))
    run = begin(tmp_path / "new" / "run")
    run.write(("kind/deep", "base", "p.parquet"), {"x": "y"})
    written = [tmp_path / "new/run/run.json", tmp_path / "new/run/kind/deep/base/p.parquet"]
    for path in written:
        assert forced.index(path.stat().st_ino) < len(forced) - 1 - forced[::-1].index(path.parent.stat().st_ino)
    for folder in ("", "new", "new/run", "new/run/kind", "new/run/kind/deep", "new/run/kind/deep/base"):
        assert (tmp_path / folder).stat().st_ino in forced, folder


def test_a_run_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    begin(tmp_path / "above" / "run").claim("base.json", {}, {})
    assert (tmp_path / "above" / "run").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "above").stat().st_mode & 0o777 != 0o700, "only the run is ours"
    (tmp_path / "shared").mkdir(mode=0o755)
    begin(tmp_path / "shared").claim("base.json", {}, {})
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("leave", [shutil.rmtree, lambda run: run.rename(run.with_name("aside"))])
def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path, leave) -> None:
    run = begin(tmp_path / "run")
    run.claim("base.json", {"fingerprint": "a"}, {})
    leave(tmp_path / "run")
    for use in (
        lambda: run.write(("kind", "base", "p.parquet"), {"x": "y"}),
        lambda: run.remember("rows.json", {}),
        lambda: run.read(("kind", "base", "p.parquet")),
        lambda: run.read_json("base.json"),
        run.must_be_there,
    ):
        with pytest.raises(RunError, match="is no longer there: it was moved away or deleted"):
            use()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("when", ["before the pages", "after the pages"])
def test_a_folder_that_is_moved_away_during_its_report(
    cli: CommandLine, run: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    write = saved._write_pages

    def moving(*arguments) -> None:
        if when == "after the pages":
            write(*arguments)
        run.rename(run.with_name("aside"))
        if when == "before the pages":
            write(*arguments)

    monkeypatch.setattr(saved, "_write_pages", moving)
    ended = cli.run("report", run)
    assert ended.code == 2 and ended.err.startswith(f"aftertune: {run} is no longer there: ") and not run.exists()
