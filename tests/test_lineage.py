"""Three checkpoints: each compared with its predecessor and the first, the page on all, and what is corrected."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

import aftertune
from aftertune.runs.roles import Pair, pairs_of, role_names
from aftertune.statistics.corrections import holm
from aftertune.study.stage_findings import describe_lineage
from aftertune.study.stages import Lineage, instance_rows, rows_of_models, rows_of_pairs, score_table
from command_line import QUICK, CommandLine, save_checkpoint, save_prompts
from head_files import save_head_files

pytest_plugins = ("cli_fixtures",)
WORDS = ["cat", "mat", "text", "answer", "question", "rewrite", "sat", "the", "on", "input"]
NAMES = ("base", "sft", "dpo <b>")


@pytest.fixture(scope="module")
def places(base: Path, tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [base, tuned, save_checkpoint(tmp_path_factory.mktemp("third") / "third", seed=2)]


@pytest.fixture(scope="module")
def run(places: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lineage")
    files, prompts = save_head_files(folder), save_prompts(folder / "prompts.jsonl")
    first, *later = [aftertune.Subject(place, name=name) for place, name in zip(places, NAMES, strict=True)]
    aftertune.compare(
        *(first, later, folder / "run", prompts, aftertune.Plan(max_new_tokens=4, check=0)),
        heads=aftertune.HeadStudy(str(files.words), str(files.vectors), plan=aftertune.HeadPlan(n_draws=1)),
        concepts=aftertune.ConceptStudy(WORDS, aftertune.ConceptPlan(6, 4)),
        device="cpu",
    )
    return folder / "run"


@pytest.fixture(scope="module")
def lineage(run: Path) -> Lineage:
    found = aftertune.write_report(run)
    assert isinstance(found, Lineage)
    return found


def test_each_is_compared_with_its_predecessor_and_the_first() -> None:
    assert role_names(4) == ("base", "tuned", "tuned-2", "tuned-3") and role_names(2) == ("base", "tuned")
    assert pairs_of("ab") == [("a", "b")] and pairs_of("abcd") == [*map(Pair._make, ("ab", "bc", "ac", "cd", "ad"))]


def test_a_pair_is_compared_as_if_alone(run: Path, places: list[Path], lineage: Lineage, tmp_path: Path) -> None:
    assert lineage.names == NAMES
    pair = [aftertune.Subject(place, name=name) for place, name in zip(places[1:], NAMES[1:], strict=True)]
    prompts, plan = run.parent / "prompts.jsonl", aftertune.Plan(max_new_tokens=4, check=0)
    alone = aftertune.compare(*pair, tmp_path / "run", prompts, plan, skip=["heads", "concepts"], device="cpu")
    found = lineage.comparison("sft", "dpo <b>")
    assert found.table2 == alone.table2 and found.instances == alone.instances
    with pytest.raises(aftertune.RunError, match="was not compared with"):
        lineage.comparison("dpo <b>", "base")


def test_the_table_of_scores_has_a_column_for_each_model_and_pair(lineage: Lineage) -> None:
    (row,) = score_table(lineage)
    rows = [one.table2[0] for one in lineage.comparisons]
    assert row["models"] == [asdict(rows[0].base), asdict(rows[0].tuned), asdict(rows[1].tuned)]
    assert [one["difference"] for one in row["pairs"]] == [one.difference for one in rows]
    assert [one["p_value_holm"] for one in row["pairs"]] == holm([one.p_value for one in rows])
    assert [one["paired"]["p_value_holm"] for one in row["pairs"]] == holm([one.paired.p_value for one in rows])


def test_every_model_and_prompt_stands_once(lineage: Lineage) -> None:
    instances = instance_rows(lineage)
    assert len(instances) == 6 and all(len(row["scores"]) == 3 for row in instances)
    by_id = {row.id: row for row in lineage.comparison("base", "dpo <b>").instances}
    assert all(row["scores"][::2] == [by_id[row["id"]].score_base, by_id[row["id"]].score_tuned] for row in instances)
    ranks = [(row["model"], row["rank"]) for row in rows_of_models(lineage, "concepts", "figure8")]
    assert len(set(ranks)) == len(ranks) and {model for model, _ in ranks} == set(NAMES)
    assert {row["pair"] for row in rows_of_pairs(lineage, "heads", "figure2")} == {
        *("base → sft", "sft → dpo <b>", "base → dpo <b>")
    }


def test_findings_claim_no_more_than_is_corrected(lineage: Lineage) -> None:
    findings = describe_lineage(lineage)
    tested = [finding.evidence["p_value_corrected"] for finding in findings if "p_value_corrected" in finding.evidence]
    rows = [one.table2[0] for one in lineage.comparisons]
    assert tested == holm([max(row.p_value or 0, row.p_value_permutation or 0) for row in rows])
    assert [finding.significant for finding in findings[:3]] == [p < 0.05 for p in tested]
    assert sum("What changed" in finding.headline for finding in findings) == 2


def test_the_run_has_a_page_on_all_and_the_report_of_each_pair(run: Path, lineage: Lineage) -> None:
    page = (run / "report.html").read_text("utf-8")
    assert "dpo &lt;b&gt;" in page and "dpo <b>" not in page.split("<script", 1)[0]
    for place in ("base-tuned", "tuned-tuned-2", "base-tuned-2"):
        assert f'href="pairs/{place}/report.html"' in page and (run / "pairs" / place / "report.html").is_file()
    header = (run / "tables" / "table2.csv").read_text("utf-8").splitlines()[0]
    assert "models_sft_mean" in header and "pairs_sft to dpo <b>_difference" in header
    assert json.loads((run / "comparison.json").read_text("utf-8")) == lineage.to_dict()
    assert aftertune.open_heads(run, "tuned-2").model.endswith("third")


def test_options_of_the_tuned_go_with_them_in_their_order(cli: CommandLine, places: list[Path], prompts: Path) -> None:
    given = ("compare", *places, "--run", "run", "--prompts", prompts, *QUICK)
    message = cli.refuses(*given, "--tuned-name", "one")
    assert "--tuned-name is given 1 times for 2 tuned checkpoints" in message
    cli.succeeds(*given, "--tuned-name", "", "--tuned-name", "other")
    assert json.loads(Path("run/comparison.json").read_text("utf-8"))["names"] == ["base", "tuned", "other"]
