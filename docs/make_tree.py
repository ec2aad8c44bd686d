"""Write the tree of all modules into ``docs/architecture.md``, each with the question that its first line asks.

    python docs/make_tree.py

A test sees to it that every module is there.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PLACE = re.compile(r"(<!-- tree -->\n).*?(<!-- /tree -->)", re.DOTALL)
LONGEST = 90


def render() -> str:
    """The tree as a block of text."""
    return "\n".join(["```text", "src/aftertune/", *branch(ROOT / "src" / "aftertune", 1), "```", ""])


def branch(folder: Path, depth: int) -> Iterator[str]:
    """The lines of a folder: its modules, then its folders; a folder says what its ``__init__.py`` says."""
    modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py" or depth == 1]
    for path in modules:
        yield line(path.name, said(path), depth)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and any(path.rglob("*.py"))):
        yield line(f"{inner.name}/", said(inner / "__init__.py"), depth)
        yield from branch(inner, depth + 1)


def line(name: str, text: str, depth: int) -> str:
    """One line of the tree."""
    return f"{'  ' * depth}{name:<{max(26 - 2 * depth, len(name))}} {text}".rstrip()


def said(module: Path) -> str:
    """The first sentence of a module, or as much of it as fits."""
    text = ast.get_docstring(ast.parse(module.read_text("utf-8"))) if module.exists() else ""
    first = (text or "").split("\n\n")[0].replace("\n", " ").replace("``", "")
    sentence = re.split(r"(?<=[.?])\s", first)[0].rstrip(".")
    return textwrap.shorten(sentence, LONGEST, placeholder=" ...")


if __name__ == "__main__":
    PAGE.write_text(PLACE.sub(lambda place: f"{place[1]}{render()}{place[2]}", PAGE.read_text("utf-8")), "utf-8")
