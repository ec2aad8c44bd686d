"""An explainer of another package behaves in every way as ours: that of docs/add-an-explainer.md, installed and run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

pytestmark = pytest.mark.slow

pytest_plugins = ("cli_fixtures",)

PAGE = Path(__file__).parents[1] / "docs" / "add-an-explainer.md"
MOST_LINES = 80


def blocks() -> dict[str, str]:
    """The files of the page by their titles."""
    found = re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE.read_text("utf-8"), flags=re.DOTALL)
    return dict(found)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's package installed, outside of ours."""
    source, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("installed")
    for name, text in blocks().items():
        (source / name).write_text(text, "utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([*pip, *options, str(source)], check=True, capture_output=True, text=True)
    return target


@pytest.fixture(scope="module")
def aftertune_in(installed: Path, tmp_path_factory: pytest.TempPathFactory):
    """The command line in a folder of its own, with the package at hand."""
    folder = tmp_path_factory.mktemp("work")

    def call(*arguments: object, expected: int = 0) -> str:
        environment = os.environ | {"PYTHONPATH": f"{installed}:{os.environ.get('PYTHONPATH', '')}"}
        command = [sys.executable, "-W", "ignore", "-m", "aftertune", *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == expected, done.stderr
        return done.stdout if expected == 0 else done.stderr

    call.folder = folder
    return call


def test_it_is_short():
    assert len(blocks()["weight_norms.py"].strip().splitlines()) <= MOST_LINES


@pytest.fixture(scope="module")
def report(aftertune_in, base: Path, tuned: Path) -> dict:
    return json.loads(aftertune_in("compare", base, tuned, "--run", "run", "--only", "weight_norms", "--json"))


def test_its_numbers_are_those_of_the_weights(report, base: Path, tuned: Path):
    before, after = (AutoModelForCausalLM.from_pretrained(one).state_dict() for one in (base, tuned))
    inside = [name for name in before if ".layers.1." in name]
    changed = sum((after[name] - before[name]).double().square().sum() for name in inside)
    total = sum(before[name].double().square().sum() for name in inside)
    row = next(row for row in report["weight_norms"]["layers"] if row["layer"] == "1")
    assert row["norm"] == pytest.approx(float(torch.sqrt(changed)))
    assert row["share"] == pytest.approx(float(torch.sqrt(changed / total)))


def test_its_finding_is_told_in_the_summary_and_in_json(report):
    (finding,) = report["findings"]
    assert (finding["kind"], finding["verdict"]) == ("weight_norms.largest", "not tested")
    assert any(finding["headline"] in sentence for sentence in report["summary"])


def test_it_has_a_page_downloads_and_a_note_where_it_is_missing(report, aftertune_in):
    run = aftertune_in.folder / "run"
    page = (run / "report.html").read_text("utf-8")
    assert '<section class="page" id="weight_norms"' in page
    assert 'data-table="weight_norms"' in page
    assert pl.read_csv(run / "tables" / "weight_norms.csv")["share"].len() == len(report["weight_norms"]["layers"])
    assert (run / "tables" / "weight_norms.tex").exists()


@pytest.mark.usefixtures("report")
def test_its_settings_are_flags_and_kept(aftertune_in):
    assert "--min-share" in aftertune_in("compare", "--help")
    assert yaml.safe_load((aftertune_in.folder / "run" / "settings.yaml").read_text())["min-share"] == 0


@pytest.mark.usefixtures("report")
def test_bad_settings_are_refused_as_ours_are(aftertune_in, base: Path, tuned: Path):
    told = aftertune_in("compare", base, tuned, "--only", "weight_norms", "--min-share", "-1", expected=2)
    assert "min_share" in told and "Traceback" not in told


@pytest.mark.usefixtures("report")
def test_a_saved_run_is_opened_and_reported_again(aftertune_in):
    before = aftertune_in.folder / "run" / "comparison.json"
    text = before.read_text("utf-8")
    aftertune_in("report", "run")
    assert before.read_text("utf-8") == text
    kept = json.loads(aftertune_in("report", "run", "--min-share", "0.000001", "--json"))
    assert kept["weight_norms"]["layers"]


def test_it_can_be_left_out(aftertune_in, base: Path, tuned: Path):
    told = aftertune_in(
        "compare", base, tuned, "--run", "other", "--skip", "outputs", "--skip", "location",
        "--skip", "attribution", "--skip", "heads", "--skip", "weight_norms", "--components", "2", "--layers", "0",
    )  # fmt: skip
    assert "weight_norms" not in (aftertune_in.folder / "other" / "comparison.json").read_text("utf-8")
    assert told
