"""What benches take from the library is there, under the name that they ask for: they are run by hand, and seldom."""

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
FILES = sorted(BENCH.rglob("*.py"))


def taken(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of every import of ours, those in functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ("aftertune", "bench"):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(BENCH)))
def test_what_a_bench_takes_is_there(path: Path) -> None:
    for module, name in taken(path):
        if module.startswith("bench"):
            assert find_spec(module) is not None, module
            continue
        assert hasattr(import_module(module), name) or find_spec(f"{module}.{name}"), f"{module} has no {name}"
