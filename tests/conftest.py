"""What several tests share: where the paper's released data lies, and the order in which files are tested."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("AFTERTUNE_SHARED_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"the released data is not at {folder} (set AFTERTUNE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """Nothing here has to outlast a power cut, and to wait for the disk takes 8 ms a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that two workers end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
