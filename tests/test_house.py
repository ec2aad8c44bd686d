"""The house holds: import chains are short, files are few, types reach the report, and explainers stand alone."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "aftertune"
LONGEST_CHAIN = 10
MOST_FILES_IN_A_FOLDER = 28
MOST_ANY_IN_REPORT = 30
LONGEST_FILE = 300


def modules() -> dict[str, Path]:
    found = {}
    for path in SRC.rglob("*.py"):
        parts = ("aftertune", *path.relative_to(SRC).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports_of(module: str) -> frozenset[str]:
    """The modules of ours that a module imports at once: not under TYPE_CHECKING, not in functions."""
    return frozenset(name for node in top_level(ast.parse(MODULES[module].read_text())) for name in names_of(node))


def top_level(tree: ast.AST):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from top_level(node)


def names_of(node) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in MODULES]
    found = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else node.module for name in found if name in MODULES or node.module in MODULES]


@cache
def chain_of(module: str) -> tuple[str, ...]:
    """The longest chain of imports that begins with a module."""
    return (module, *max((chain_of(one) for one in imports_of(module) if one != module), key=len, default=()))


def test_no_chain_of_imports_is_longer_than_a_reader_can_follow():
    longest = max((chain_of(module) for module in MODULES), key=len)
    assert len(longest) <= LONGEST_CHAIN, " -> ".join(longest)


def test_a_folder_can_be_taken_in_at_a_glance():
    folders = Counter(path.parent for path in MODULES.values())
    assert {str(folder): n for folder, n in folders.items() if n > MOST_FILES_IN_A_FOLDER} == {}


def test_files_can_be_read_in_one_sitting():
    long = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: n for name, n in long.items() if n > LONGEST_FILE} == {}


def test_typed_results_reach_the_report():
    found = sum(len(re.findall(r"\bAny\b", path.read_text())) for path in (SRC / "report").glob("*.py"))
    assert found <= MOST_ANY_IN_REPORT


def test_report_and_study_name_no_explainer():
    """What is outside an explainer's folder knows it only by the list of explainers."""
    ours = ("outputs", "location", "attribution", "heads", "concepts", "annotation")
    allowed = {"aftertune", "aftertune.explainers", "aftertune.study.annotate", "aftertune.study.compare"}
    for module in MODULES:
        if module.startswith("aftertune.explainers.") or module.startswith("aftertune.cli.") or module in allowed:
            continue
        text = MODULES[module].read_text()
        assert not [name for name in ours if f"aftertune.explainers.{name}" in text], module
