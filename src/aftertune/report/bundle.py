"""The page's modules as one script, for a page that fetches nothing can't import anything either.

1. Modules are written as the language has them: named imports at the top, ``export`` before what is declared. An
   import is of a module beside this one (``./grid.js``) or of one that every page may use (``aftertune/grid.js``).
2. Each module becomes a function of its own, which is given what it imports and returns what it exports, once, after
   all that it imports. All of them stand inside one function: the page gets no global name.

What can't be bundled this way is refused: default exports, ``export let`` (a copy would not change with it), ``import``
of a whole module or for its effects. A line that begins with ``import`` or ``export`` counts as one even in a text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHARED, SHARED_FOLDER = "aftertune/", Path(__file__).parent / "templates"
IMPORT = re.compile(r"^import \{([^{}]+)\} from (?:\"([^\"\n]+)\"|'([^'\n]+)');?[^\S\n]*(?://.*)?$\n?", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:(?:async )?function\*? |class |const )(?P<name>[\w$]+)\b)", re.MULTILINE)
DIRECTIVE = re.compile(r"^(?:import|export)\b(?![(.]).*", re.MULTILINE)
NAME = re.compile(r"([\w$]+)(?: as ([\w$]+))?")
# Either would end a script, or begin a comment, in the middle of a text of it; escaped, the text is the same.
UNSAFE, ESCAPED = re.compile(r"<(?=!--|/script)", re.IGNORECASE), r"\\x3c"


@dataclass(frozen=True)
class Module:
    """One module: where it lies, what it imports as (module, names), what it exports, and all else."""

    path: Path
    imports: tuple[tuple[Path, tuple[tuple[str, str], ...]], ...]
    exports: tuple[str, ...]
    code: str


def bundle(scripts: Sequence[Path]) -> str:
    """One script that runs the modules ``scripts`` in their order, each after what it imports.

    Raises `ValueError` for a module that is not there or can't be bundled, a name that the other module does not
    export, and modules that import each other in a circle.
    """
    modules = _in_order(scripts)
    names = {path: f"module{number}" for number, path in enumerate(modules)}
    body = "\n".join(f"const {names[path]} = {_function(module, names)}" for path, module in modules.items())
    return f'(function () {{\n"use strict";\n{UNSAFE.sub(ESCAPED, body)}\n}})();\n'


def _in_order(scripts: Sequence[Path]) -> dict[Path, Module]:
    """All modules by their path, each after those that it imports."""
    found: dict[Path, Module] = {}

    def visit(path: Path, importers: tuple[Path, ...]) -> None:
        if path in importers:
            circle = " imports ".join(one.name for one in (*importers[importers.index(path) :], path))
            raise ValueError(f"Modules can't import each other in a circle: {circle}.")
        if path in found:
            return
        module = _read(path, importers)
        for other, names in module.imports:
            visit(other, (*importers, path))
            for name, _ in names:
                if name not in found[other].exports:
                    raise ValueError(f"{path} imports {name}, which {other.name} does not export.")
        found[path] = module

    for script in scripts:
        visit(script.resolve(), ())
    return found


def _read(path: Path, importers: Sequence[Path]) -> Module:
    try:
        code = path.read_text("utf-8")
    except OSError as error:
        by = f", which {importers[-1]} imports," if importers else ""
        raise ValueError(f"The module {path}{by} can't be read: {error.strerror}.") from None
    imports = tuple((_place(one[2] or one[3], path), _names(one[1], path)) for one in IMPORT.finditer(code))
    exports = tuple(found["name"] for found in EXPORT.finditer(code))
    code = EXPORT.sub("", IMPORT.sub("", code))
    if left := DIRECTIVE.search(code):
        raise ValueError(f"{path} has a line that can't be bundled: {left[0]}")
    return Module(path, imports, exports, code.strip("\n"))


def _place(source: str, path: Path) -> Path:
    """The file that a module names in its import."""
    for start, folder in (("./", path.parent), (SHARED, SHARED_FOLDER)):
        if source.startswith(start) and "/" not in source.removeprefix(start):
            return (folder / source.removeprefix(start)).resolve()
    raise ValueError(f"{path} imports from {source}. Modules are named ./NAME.js or {SHARED}NAME.js.")


def _names(listed: str, path: Path) -> tuple[tuple[str, str], ...]:
    """What is imported: each name, and the name that it has here."""
    parts = [part.strip() for part in listed.split(",") if part.strip()]
    matches = [NAME.fullmatch(part) for part in parts]
    if not all(matches):
        raise ValueError(f"{path} has an import that can't be read: {{{listed}}}.")
    return tuple((found[1], found[2] or found[1]) for found in matches if found)


def _function(module: Module, names: dict[Path, str]) -> str:
    given = [", ".join(name if name == own else f"{name}: {own}" for name, own in one) for _, one in module.imports]
    parameters = ", ".join(f"{{ {one} }}" for one in given)
    arguments = ", ".join(names[other] for other, _ in module.imports)
    returned = f"\nreturn {{ {', '.join(module.exports)} }};" if module.exports else ""
    return f"(function ({parameters}) {{\n// {module.path.name}\n{module.code}{returned}\n}})({arguments});\n"
