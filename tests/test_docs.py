"""The README and the pages under docs/ tell the truth: commands, options, names, links and paths are there."""

import importlib.util
import re
import shlex
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import typer

import aftertune
from aftertune.cli.app import app
from pages import FENCE, INLINE, LINK, NAMES, OPTION, ROOT, blocks_of, read

# What the explainer that a page builds adds to the commands.
OF_PLUGINS = {"docs/add-an-explainer.md": {"--min-share"}}


def script(name: str) -> ModuleType:
    """A script that writes a page."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options() -> dict[str, set[str]]:
    """The options of each command, as the program itself parses them."""
    program, common = typer.main.get_command(app), {"--help", "-h"}
    commands = {name: program.get_command(None, name) for name in program.list_commands(None)}
    found = {
        name: common | {o for p in one.params for o in (*p.opts, *p.secondary_opts) if o[0] == "-"}
        for name, one in commands.items()
    }
    return found | {"": common | {"--version", "--install-completion", "--show-completion"}}


def commands_in(text: str) -> list[list[str]]:
    """Every call of aftertune in shell blocks and in code within a line, as words."""
    blocks = [code for language, code in FENCE.findall(text) if language in ("sh", "bash", "text")]
    lines = [line for block in blocks for line in block.splitlines()] + INLINE.findall(FENCE.sub("", text))
    return [shlex.split(line, comments=True) for line in lines if line.strip().startswith("aftertune ")]


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert read("docs/cli.md") == script("make_cli").render(), "run: .venv/bin/python docs/make_cli.py"


def test_the_page_of_the_command_line_has_every_option() -> None:
    sections = dict(
        re.findall(r"^## aftertune ?(\w*)\n(.*?)(?=^## |\Z)", read("docs/cli.md"), re.DOTALL | re.MULTILINE)
    )
    firsts = {name: re.findall(r"^\| (`--[^|]+`) \|", text, re.MULTILINE) for name, text in sections.items()}
    written = {
        name: {option for cell in cells for option in re.findall(r"--[\w-]+", cell)} for name, cells in firsts.items()
    }
    assert written == {name: known - {"--help", "-h"} for name, known in options().items()}


@pytest.mark.parametrize("name", NAMES)
def test_commands_shown_exist_with_their_options(name: str) -> None:
    known = options()
    for words in commands_in(read(name)):
        command = words[1] if len(words) > 1 and not words[1].startswith("-") else ""
        assert command in known, f"{name} shows {' '.join(words)}"
        shown = {word.split("=")[0] for word in words[1:] if word.startswith("-")}
        assert shown <= known[command] | OF_PLUGINS.get(name, set()), f"{name} shows {' '.join(words)}"


@pytest.mark.parametrize("name", NAMES)
def test_options_named_alone_exist(name: str) -> None:
    every = set.union(*options().values(), OF_PLUGINS.get(name, set()))
    alone = {found[0] for code in INLINE.findall(FENCE.sub("", read(name))) if (found := OPTION.match(code))}
    assert {option for option in alone if option.startswith("--")} <= every


def test_every_command_is_shown_in_the_readme() -> None:
    assert {words[1] for words in commands_in(read("README.md"))} == options().keys() - {""}


def test_make_targets_named_exist() -> None:
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    for name in NAMES:
        shell = blocks_of(name, "sh")
        named = re.findall(r"^make (\w+)", "\n".join(shell), re.MULTILINE) + re.findall(r"`make (\w+)`", read(name))
        assert set(named) <= targets, name


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_resolve(name: str) -> None:
    text, here = FENCE.sub("", read(name)), (ROOT / name).parent
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        assert (here / path).exists(), f"{name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(here / path if path else ROOT / name), f"{name} links to {target}: no such heading"


def anchors(page: Path) -> set[str]:
    """The anchors of a page: its headings, and the names that mkdocstrings is asked to document."""
    text = page.read_text("utf-8")
    headings = [re.sub(r"[^\w\s-]", "", head.lower()) for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    documented = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    members = {
        f"{name}.{member}"
        for name in documented
        if isinstance(found := find(name), ModuleType)
        for member in dir(found)
    }
    return {re.sub(r"\s+", "-", head.strip()) for head in headings} | set(documented) | members


@pytest.mark.parametrize("name", re.findall(r"^::: (\S+)$", read("docs/api.md"), re.MULTILINE))
def test_names_in_the_api_page_exist(name: str) -> None:
    assert find(name) is not None


def find(name: str) -> object:
    """What a dotted name stands for; the module comes first, since a function of its name may hide it."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        home, _, last = name.rpartition(".")
        return getattr(find(home), last)


def test_the_api_page_has_every_public_name() -> None:
    text = read("docs/api.md")
    shown = set(re.findall(r"^::: aftertune\.(\w+)$", text, re.MULTILINE))
    assert shown | set(re.findall(r"^ +heading: aftertune\.(\w+)$", text, re.MULTILINE)) == set(aftertune.__all__)


def tree(page: str, heading: str) -> dict[str, str]:
    """Path -> what a page's tree says of it."""
    block = read(page).split(f"\n{heading}\n")[1].split("```text\n")[1].split("```")[0]
    found, above = {}, [Path()]
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, said = line.strip().partition(" ")
        above = [*above[: depth + 1], above[depth] / name]
        found[f"{above[-1]}{'/' if name.endswith('/') else ''}"] = said.strip()
    return found


TREES = [("README.md", "## Folders"), ("docs/architecture.md", "## All files")]


@pytest.mark.parametrize(("page", "heading"), TREES)
def test_paths_of_a_tree_exist(page: str, heading: str) -> None:
    found = tree(page, heading)
    assert found
    for path, said in found.items():
        assert (ROOT / path).exists(), f"{path} is in the tree of {page} only"
        assert len(said) <= 90, f"{path}: half a line, please"


def test_every_folder_is_in_the_readme_and_explained() -> None:
    found, package = tree("README.md", "## Folders"), ROOT / "src" / "aftertune"
    folders = {f"{path.relative_to(ROOT)}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    assert folders - found.keys() == set()
    assert all(found.values())


def test_every_module_is_in_the_tree_of_the_architecture() -> None:
    found, package = tree("docs/architecture.md", "## All files"), ROOT / "src" / "aftertune"
    modules = {str(path.relative_to(ROOT)) for path in package.rglob("*.py")}
    told = {path for path in modules if path.endswith("__init__.py") and path.count("/") > 2}
    assert modules - told - found.keys() == set(), "run: .venv/bin/python docs/make_tree.py"
