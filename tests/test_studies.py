"""Every script that reproduces a table or a figure of the paper, on a tiny pair."""

import re
import runpy
import sys
from pathlib import Path

import pytest

import aftertune
from head_files import save_head_files

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn")]

pytest_plugins = ("cli_fixtures",)
PAPER = Path(__file__).resolve().parents[1] / "studies" / "paper"
SCRIPTS = sorted(path.name for path in PAPER.glob("*.py") if path.name not in ("measure.py", "shown.py"))
WORDS = ["cat", "mat", "text", "answer", "question", "rewrite", "sat", "the", "on", "input"]
# What a tiny model may well not have, and the script then says so.
MAY_LACK = {"tables_4_11_12.py", "figure_3.py", "tables_7_10.py", "table_3.py"}


@pytest.fixture(scope="module")
def run(base: Path, tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    files = save_head_files(folder)
    rows = [
        f'{{"prompt": "the cat sat {n}", "response": " on the mat. sat on", "helpfulness": {n}}}' for n in (1, 2, 3, 1)
    ]
    prompts = folder / "prompts.jsonl"
    prompts.write_text("\n".join(rows), encoding="utf-8")
    study = aftertune.Study(
        base,
        tuned,
        run=folder / "run",
        prompts=prompts,
        check=0,
        heads={"words": files.words, "vectors": files.vectors},
        concepts={"words": WORDS, "n_components": 6, "n_words": 4},
        device="cpu",
    )
    aftertune.compare(study)
    aftertune.annotate(folder / "run", "words")
    aftertune.write_report(folder / "run")  # which now has pictures of annotations too
    return folder / "run"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_shows_its_table(
    script: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, str(run)])
    monkeypatch.syspath_prepend(PAPER)
    try:
        runpy.run_path(str(PAPER / script))
    except SystemExit as ended:
        assert script in MAY_LACK and str(ended.code).startswith("There is no"), ended
    else:
        shown = capsys.readouterr().out
        assert shown.startswith("|") and shown.count("\n") > 2
        assert all(Path(place).is_file() for place in re.findall(r"^Picture: (.+)$", shown, re.MULTILINE))


def test_every_script_has_its_line_in_the_readme() -> None:
    readme = (PAPER / "README.md").read_text("utf-8")
    assert all(f"`{script}`" in readme for script in SCRIPTS)
