"""What several tests share: where the paper's released data lies, and how they take no longer than they must."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before they are imported: two processes test at once, and threads of theirs would only wait for one another.
os.environ |= {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")}

Draw = Callable[..., bytes]
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


@pytest.fixture(scope="session", autouse=True)
def draw() -> Iterator[Draw]:
    """A picture is its chart's digest, since to draw one takes 0.1 s; who looks at pictures asks for `drawn`."""
    from aftertune.report import render

    real = render.drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "drawn", undrawn)
        yield real


@pytest.fixture(scope="module")
def drawn(draw: Draw) -> Iterator[None]:
    """Pictures are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aftertune.report.render.drawn", draw)
        yield


def undrawn(spec: object, to: str, **how: object) -> bytes:
    """What stands for the picture of a chart: another chart gives another."""
    digest = hashlib.sha256(json.dumps([spec, how]).encode()).hexdigest()
    return (f'<svg width="100" height="100"><title>{digest}</title></svg>' if to == "svg" else digest).encode()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that two workers end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
