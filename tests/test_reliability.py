"""The short form of ``python -m bench.reliability``: a few tries of each kind of fault, and all counts are 0."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.reliability.__main__ import counters

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", counters())
def test_nothing_is_lost_doubled_or_false(name: str, tmp_path: Path) -> None:
    for found in counters()[name](tmp_path, True):
        assert found.tried and not found.failures, found.told
