"""Imports point one way: the contracts that stand in ``pyproject.toml``, read from the syntax trees.

`make check` holds them with import-linter; this holds them wherever the tests run. Imports inside functions and under
TYPE_CHECKING count too.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
LAYERS = [[name.strip() for name in re.split("[|:]", line)] for line in CONTRACTS[0]["layers"]]
BESIDE = [{name.strip() for name in line.split(":")} for line in CONTRACTS[0]["layers"] if ":" in line]
LEVEL = {name: number for number, names in enumerate(LAYERS) for name in names}
OUTSIDE = {"__init__", "__main__"}  # the public names, and the program


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


MODULES = {name_of(path): path for path in sorted((SOURCE / "aftertune").rglob("*.py"))}


@cache
def imports_of(name: str) -> frozenset[str]:
    """Every module that the module ``name`` imports anywhere, ours as full names, others by their first part."""
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    return frozenset(found for node in ast.walk(tree) for found in targets(node))


def targets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name if alias.name in MODULES else alias.name.split(".")[0] for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute here"
        module = node.module or ""
        within = [f"{module}.{alias.name}" for alias in node.names if f"{module}.{alias.name}" in MODULES]
        yield from within or [module if module.startswith("aftertune") else module.split(".")[0]]


def area(name: str) -> str:
    """The file or package right below ``aftertune``."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def reached_from(name: str) -> set[str]:
    found, todo = set(), [name]
    while todo:
        for target in imports_of(todo.pop()) - found:
            found.add(target)
            todo += [target] if target in MODULES else []
    return found


def test_every_module_has_its_layer() -> None:
    assert {area(name) for name in MODULES} == LEVEL.keys() | OUTSIDE


@pytest.mark.parametrize("name", [name for name in MODULES if area(name) in LEVEL])
def test_a_module_imports_only_from_layers_below_or_its_own_package(name: str) -> None:
    own = area(name)
    ours = {area(target) for target in imports_of(name) if target.startswith("aftertune.")} - {own}
    wrong = {target for target in ours & LEVEL.keys() if LEVEL[target] <= LEVEL[own]}
    wrong -= set[str]().union(*(names for names in BESIDE if own in names))
    assert not wrong, f"{name} imports {', '.join(sorted(wrong))}, which stands beside it or above"
    assert not ours & OUTSIDE


def test_the_demo_needs_the_errors_only() -> None:
    assert {area(target) for target in imports_of("aftertune.demo") if target.startswith("aftertune")} == {"errors"}


@pytest.mark.parametrize("package", CONTRACTS[2]["source_modules"])
def test_what_works_on_saved_files_reaches_no_torch(package: str) -> None:
    forbidden = set(CONTRACTS[2]["forbidden_modules"])
    names = [name for name in MODULES if is_in(name, package)]
    assert names
    for name in names:
        reached = {target for target in reached_from(name) if any(is_in(target, wrong) for wrong in forbidden)}
        assert not reached, f"{name} reaches {', '.join(sorted(reached))}"


@pytest.mark.parametrize("name", CONTRACTS[1]["modules"])
def test_an_explainer_imports_no_other(name: str) -> None:
    others = [other for other in CONTRACTS[1]["modules"] if other != name]
    reached = {target for module in MODULES if is_in(module, name) for target in imports_of(module)}
    assert not {target for target in reached if any(is_in(target, other) for other in others)}


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_torch_and_hugging_face_stay_where_models_are_read() -> None:
    known = {area(name) for name in MODULES if imports_of(name) & {"torch", "transformers", "peft"}}
    assert known == {"models", "explainers", "words"}


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: imports_of(name) & MODULES.keys() - {name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"an import cycle: {' -> '.join(error.args[1])}")


def test_there_is_no_module_that_knows_everything() -> None:
    assert not [name for name in MODULES if name.split(".")[-1] in {"utils", "util", "helpers", "common", "misc"}]
