"""Threads of the command line wait briefly, unless the environment says how (`bench.busy` has what that is worth)."""

import os
import subprocess
import sys

import pytest

CODE = """
import os, sys
import aftertune.cli.app as app
app.app = lambda **_: print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
app.main()
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_how_threads_wait_is_set_before_torch_is_there(given: dict[str, str], expected: str) -> None:
    bare = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ended = subprocess.run([sys.executable, "-c", CODE], env=bare | given, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [expected, "False"]
