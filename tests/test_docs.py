"""The README and the pages under docs/ hold: snippets run, commands and options exist, links and paths resolve.

A Python block that follows a ``<!-- runnable -->`` line is run, the blocks of a page one after the other in one
namespace and in a folder of their own, where tiny models stand in for the checkpoints that the page names.
"""

import ast
import importlib.util
import json
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
import typer

import aftertune
from aftertune.cli import app
from aftertune.models.quiet import quiet
from tiny import make_model, make_tokenizer

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BASE, TUNED, ADAPTER = "HuggingFaceTB/SmolLM2-135M-Instruct", "my-tuned-model", "my-adapter"
PROMPTS = [
    {"id": "mail", "prompt": "Cut it.\n\nInput: the cat", "instruction_spans": ["Cut it."]},
    {"id": "bird", "prompt": "Name a bird.", "instruction_spans": ["Name a bird."]},
]

RUNNABLE = re.compile(r"<!-- runnable -->\n```python\n(.*?)```", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def pages_with(pattern: re.Pattern[str]) -> list[str]:
    return [name for name in NAMES if pattern.search(read(name))]


# --- snippets -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base, a tuned model and an adapter of the base."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("checkpoints")
    settings = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    with quiet():  # peft asks transformers for an attribute by its old name, which warns
        for name, seed in (("base", 0), (TUNED, 1)):
            model = make_model("llama", seed=seed)
            model.config.max_position_embeddings = 1024
            model.save_pretrained(folder / name)
            make_tokenizer().save_pretrained(folder / name)
        get_peft_model(make_model("llama"), settings).save_pretrained(folder / ADAPTER)
    return folder


@pytest.fixture(scope="module")
def finished(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in runs/mine, its maps, and the prompts it was made of."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in PROMPTS), "utf-8")
    run = folder / "runs" / "mine"
    aftertune.compare(
        checkpoints / "base", checkpoints / TUNED, run, folder / "prompts.jsonl", max_new_tokens=6, check=1
    )
    maps = pq.read_table(run / "maps.parquet")
    assert set(maps.column("model").to_pylist()) == {"base", TUNED}
    return folder


@pytest.fixture
def desk(tmp_path: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the checkpoints under the names that the pages use."""
    for name in (TUNED, ADAPTER):
        (tmp_path / name).symlink_to(checkpoints / name)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in PROMPTS), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_snippets_to_run() -> None:
    assert {"README.md", "docs/tutorial.md", "docs/how-to.md", "docs/prompts.md"} <= set(pages_with(RUNNABLE))


@pytest.mark.parametrize("name", pages_with(RUNNABLE))
def test_snippets_run(name: str, desk: Path, checkpoints: Path, finished: Path) -> None:
    snippets = RUNNABLE.findall(read(name))
    if any("runs/mine/" in code for code in snippets):
        shutil.copytree(finished / "runs", desk / "runs")
    shutil.copy(finished / "runs" / "mine" / "maps.parquet", desk)
    space: dict[str, object] = {}
    for number, code in enumerate(snippets, start=1):
        code = code.replace(BASE, str(checkpoints / "base"))
        exec(compile(code, f"{name}, snippet {number}", "exec"), space)


@pytest.mark.parametrize("name", pages_with(re.compile("```python")))
def test_python_blocks_are_python(name: str) -> None:
    blocks = [code for language, code in FENCE.findall(read(name)) if language == "python"]
    assert blocks
    for code in blocks:
        ast.parse(code)


def test_the_prompt_files_shown_are_read(tmp_path: Path) -> None:
    blocks = [code for language, code in FENCE.findall(read("docs/prompts.md")) if language == "json"]
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(block, "utf-8")
        assert len(aftertune.read_prompts(path)) == len(block.splitlines())
    datasets = [aftertune.read_prompts(tmp_path / f"{number}.jsonl")[0].dataset for number in range(len(blocks))]
    assert datasets == ["prompts", "prompts", "alpaca", "self_instruct", "mt_bench", "lima"]


def test_the_prompt_file_of_the_tutorial_is_read(tmp_path: Path) -> None:
    (block,) = [code for language, code in FENCE.findall(read("docs/tutorial.md")) if language == "json"]
    (tmp_path / "prompts.jsonl").write_text(block, "utf-8")
    assert all(prompt.spans for prompt in aftertune.read_prompts(tmp_path / "prompts.jsonl"))


# --- commands -------------------------------------------------------------------------------------------------------


def make_cli() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options() -> dict[str, set[str]]:
    """The options of each command, as the program itself parses them."""
    commands = typer.main.get_command(app).commands
    common = {"--help", "-h"}
    found = {name: common | {o for p in one.params for o in p.opts if o[0] == "-"} for name, one in commands.items()}
    return found | {"": common | {"--version"}}


def commands_in(text: str) -> list[list[str]]:
    """Every call of aftertune in shell blocks and in code within a line, as words."""
    blocks = [code for language, code in FENCE.findall(text) if language in ("sh", "bash", "text")]
    lines = [line for block in blocks for line in block.splitlines()] + INLINE.findall(FENCE.sub("", text))
    return [shlex.split(line, comments=True) for line in lines if line.strip().startswith("aftertune ")]


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert read("docs/cli.md") == make_cli().render(), "run: .venv/bin/python docs/make_cli.py"


def test_the_page_of_the_command_line_has_every_option() -> None:
    sections = dict(
        re.findall(r"^## aftertune ?(\w*)\n(.*?)(?=^## |\Z)", read("docs/cli.md"), re.DOTALL | re.MULTILINE)
    )
    written = {name: set(re.findall(r"^\| `(--[\w-]+)` \|", text, re.MULTILINE)) for name, text in sections.items()}
    assert written == {name: known - {"--help", "-h"} for name, known in options().items()}


@pytest.mark.parametrize("name", NAMES)
def test_commands_shown_exist_with_their_options(name: str) -> None:
    known = options()
    for words in commands_in(read(name)):
        command = words[1] if len(words) > 1 and not words[1].startswith("-") else ""
        assert command in known, f"{name} shows {' '.join(words)}"
        shown = {word.split("=")[0] for word in words[1:] if word.startswith("-")}
        assert shown <= known[command], f"{name} shows {' '.join(words)}"


@pytest.mark.parametrize("name", NAMES)
def test_options_named_alone_exist(name: str) -> None:
    every = set.union(*options().values())
    alone = {found[0] for code in INLINE.findall(FENCE.sub("", read(name))) if (found := OPTION.match(code))}
    assert {option for option in alone if option.startswith("--")} <= every


def test_every_command_is_shown_in_the_readme() -> None:
    assert {words[1] for words in commands_in(read("README.md"))} == options().keys() - {""}


def test_make_targets_named_exist() -> None:
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    for name in NAMES:
        shell = [code for language, code in FENCE.findall(read(name)) if language == "sh"]
        named = re.findall(r"^make (\w+)", "\n".join(shell), re.MULTILINE) + re.findall(r"`make (\w+)`", read(name))
        assert set(named) <= targets, name


# --- links, names, paths --------------------------------------------------------------------------------------------


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


def tree() -> dict[str, str]:
    """Path -> what the README's tree says of it."""
    block = read("README.md").split("## File structure")[1].split("```text\n")[1].split("```")[0]
    found, above = {}, [Path()]
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, said = line.strip().partition(" ")
        above = [*above[: depth + 1], above[depth] / name]
        found[f"{above[-1]}{'/' if name.endswith('/') else ''}"] = said.strip()
    return found


def test_paths_of_the_readme_tree_exist_and_are_explained() -> None:
    for path, said in tree().items():
        assert (ROOT / path).exists(), f"{path} is in the README's tree only"
        assert said or path == "src/aftertune/", f"{path} is not explained"
        assert len(said) <= 90, f"{path}: half a line, please"


def test_every_module_is_in_the_readme_tree() -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "src" / "aftertune").rglob("*.py")}
    told = {path for path in modules if path.endswith("__init__.py") and path.count("/") > 2}
    assert modules - told - tree().keys() == set()


# --- the run folder -------------------------------------------------------------------------------------------------


def test_every_file_of_a_run_is_documented(finished: Path) -> None:
    text, run = read("docs/run-folder.md"), finished / "runs" / "mine"
    for path in run.rglob("*"):
        if path.is_file():
            parts = path.relative_to(run).parts
            shown = parts[0] if len(parts) == 1 else f"{parts[0]}/"
            shown = f"{parts[0]}/{parts[1]}/ID.parquet" if len(parts) == 3 else shown
            assert f"`{shown}`" in text, f"{shown} is not in docs/run-folder.md"


@pytest.mark.parametrize(
    ("section", "file"),
    [
        ("responses", "responses/base/bird.parquet"),
        ("attribution", "attribution/base/bird.parquet"),
        ("maps.parquet", "maps.parquet"),
    ],
)
def test_every_column_is_documented(section: str, file: str, finished: Path) -> None:
    (text,) = re.findall(
        rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", read("docs/run-folder.md"), re.DOTALL | re.MULTILINE
    )
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    written = [column for cell in cells for column in INLINE.findall(cell)]
    assert sorted(written) == sorted(pq.read_schema(finished / "runs" / "mine" / file).names)
