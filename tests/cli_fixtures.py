"""Fixtures for tests of the command line; a module takes them with ``pytest_plugins = ("cli_fixtures",)``."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import CommandLine, save_checkpoint, save_prompts, third_party_warnings


@pytest.fixture(scope="session", autouse=True)
def quick_rates() -> Iterator[None]:
    """How fast the machine is, is measured once for each run, in 0.15 s; here a single product says it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aftertune.models.machine.SECONDS", 0.0)
        yield


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "base")


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tuned", seed=1)


@pytest.fixture
def broken(base: Path, tmp_path: Path) -> Path:
    """A copy of the base, for the test to break."""
    return Path(shutil.copytree(base, tmp_path / "broken"))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return save_prompts(tmp_path / "prompts.jsonl")


@pytest.fixture(scope="session")
def finished(base: Path, tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of base and tuned on the six prompts."""
    import aftertune

    folder = tmp_path_factory.mktemp("finished")
    file = save_prompts(folder / "prompts.jsonl")
    with third_party_warnings():
        given = {"prompts": file, "max_new_tokens": 4, "check": 1, "only": "attribution", "device": "cpu"}
        aftertune.compare(aftertune.Study(base, tuned, run=folder / "run", **given))
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, for the test to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
