"""How is the source built?  Its measures, of this checkout or several: ``python -m bench.house [PATH ...]``.

1. Chains count modules that import one another as they are imported themselves: not under TYPE_CHECKING, not in
   functions. `tests/test_house.py` holds the limits.
2. A function's length is that of its lines from ``def`` to its end, with signature and docstring.
"""

import argparse
import ast
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

Modules = dict[str, Path]
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)
HERE = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, default=[HERE], help="checkouts, by default this one")
    paths = parser.parse_args().paths
    columns = [measures(path.resolve() / "src" / "aftertune") for path in paths]
    print(f"{'':44}", *(f"{path.resolve().name:>12}" for path in paths))
    for name in columns[0]:
        print(f"{name:44}", *(f"{column[name]:>12}" for column in columns))


def measures(source: Path) -> dict[str, int | float]:
    """All measures of one package by name."""
    modules = modules_of(source)
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    imports = {name: set(imported(trees[name], modules)) - {name} for name in modules}
    lengths = [node.end_lineno - node.lineno + 1 for tree in trees.values() for node in functions(tree)]
    lines = [text.count("\n") for text in texts.values()]
    folders = Counter(path.parent for path in modules.values())
    scripts = [path.read_text(encoding="utf-8").count("\n") for path in source.rglob("*.js")]
    return {
        "Python files": len(modules),
        "lines of Python": sum(lines),
        "longest file, lines": max(lines),
        "most files in a folder": max(folders.values()),
        "longest import chain, modules": max(len(chain(name, imports)) for name in modules),
        "functions": len(lengths),
        "median function, lines": statistics.median(lengths),
        "functions above 20 lines": sum(length > 20 for length in lengths),
        "longest function, lines": max(lengths),
        "Any in report/": sum(len(re.findall(r"\bAny\b", text)) for name, text in texts.items() if in_report(name)),
        "JavaScript files": len(scripts),
        "lines of JavaScript": sum(scripts),
    }


def modules_of(source: Path) -> Modules:
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = (source.name, *path.relative_to(source).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def in_report(name: str) -> bool:
    return name.startswith("aftertune.report")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, Functions))


def imported(tree: ast.AST, modules: Modules) -> Iterator[str]:
    """The modules of ours that are imported when this one is."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                name if name in modules else str(node.module) for name in names if {name, node.module} & {*modules}
            )
        elif not isinstance(node, Functions) and not is_for_types(node):
            yield from imported(node, modules)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def chain(name: str, imports: dict[str, set[str]], known: dict[str, tuple[str, ...]] | None = None) -> tuple[str, ...]:
    """The longest chain of imports that begins with a module; no module is in it twice."""
    known = {} if known is None else known
    if name not in known:
        known[name] = (name,)  # should it be met again below
        known[name] = (name, *max((chain(one, imports, known) for one in imports[name]), key=len, default=()))
    return known[name]


if __name__ == "__main__":
    main()
