"""What several tests share: where the paper's released data lies."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("AFTERTUNE_SHARED_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"the released data is not at {folder} (set AFTERTUNE_SHARED_DATA)")
    return folder
