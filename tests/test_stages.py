"""Three checkpoints: each compared with its predecessor and the first, the page on all, and what is corrected."""

import json
from pathlib import Path

import pytest

import aftertune
from aftertune.runs.roles import Pair, pairs_of, role_names
from aftertune.statistics.questions import answer, answer_together
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
    folder = tmp_path_factory.mktemp("stages")
    files, prompts = save_head_files(folder), save_prompts(folder / "prompts.jsonl")
    first, *later = [aftertune.Subject(place, name=name) for place, name in zip(places, NAMES, strict=True)]
    heads = {"words": str(files.words), "vectors": str(files.vectors), "n_draws": 1}
    concepts = {"words": WORDS, "n_components": 6, "n_words": 4}
    quick = {
        "outputs": {"noise_draws": 2, "sampled_answers": 1, "n_samples": 0, "answer_tokens": 3},
        "location": {"swaps": 2},
    }
    given = quick | {
        "heads": heads,
        "concepts": concepts,
        "prompts": prompts,
        "max_new_tokens": 4,
        "check": 0,
        "device": "cpu",
    }
    aftertune.compare_stages(aftertune.Study(first, later, run=folder / "run", **given))
    return folder / "run"


@pytest.fixture(scope="module")
def stages(run: Path) -> aftertune.Stages:
    found = aftertune.write_report(run)
    assert isinstance(found, aftertune.Stages)
    return found


def test_each_is_compared_with_its_predecessor_and_the_first() -> None:
    assert role_names(4) == ("base", "tuned", "tuned-2", "tuned-3") and role_names(2) == ("base", "tuned")
    assert pairs_of("ab") == [("a", "b")] and pairs_of("abcd") == [*map(Pair._make, ("ab", "bc", "ac", "cd", "ad"))]


def test_a_pair_is_compared_as_if_alone(
    run: Path, places: list[Path], stages: aftertune.Stages, tmp_path: Path
) -> None:
    assert stages.names == NAMES
    pair = [aftertune.Subject(place, name=name) for place, name in zip(places[1:], NAMES[1:], strict=True)]
    given = {"prompts": run.parent / "prompts.jsonl", "max_new_tokens": 4, "check": 0, "device": "cpu"}
    alone = aftertune.compare(aftertune.Study(*pair, run=tmp_path / "run", only="attribution", **given)).attribution
    found = stages.comparison("sft", "dpo <b>").attribution
    assert found.table2 == alone.table2 and found.instances == alone.instances
    with pytest.raises(aftertune.RunError, match="was not compared with"):
        stages.comparison("dpo <b>", "base")


def test_one_checkpoint_is_no_stage_and_two_are_no_pair(places: list[Path], tmp_path: Path) -> None:
    with pytest.raises(aftertune.RunError, match="one tuned checkpoint"):
        aftertune.compare_stages(aftertune.Study(places[0], places[1], run=tmp_path / "run"))


def test_claims_are_corrected_for_all_pairs(stages: aftertune.Stages) -> None:
    alone = [answer(one.questions()) for one in stages.comparisons]
    together = answer_together([one.questions() for one in stages.comparisons])
    for pair, corrected in zip(alone, together, strict=True):
        for one, other in zip(pair, corrected, strict=True):
            assert one.kind == other.kind
            p, q = (finding.evidence.get("p_value_corrected") for finding in (one, other))
            assert p is None or q >= p
    pairs = [finding for finding in stages.findings if finding.kind == "stages.pair"]
    tested = [[one for one in found if one.verdict in ("shown", "not shown")] for found in together]
    assert [finding.evidence["n_tested"] for finding in pairs] == [len(found) for found in tested]
    shown = [any(one.verdict == "shown" for one in found) for found in tested]
    assert [finding.verdict for finding in pairs] == ["shown" if one else "not shown" for one in shown]
    for one, sentence in zip(stages.comparisons, stages.summary, strict=False):
        assert sentence.startswith(f"From {one.base} to {one.tuned}: {one.verdict.status}. ")


def test_measures_stand_side_by_side(stages: aftertune.Stages) -> None:
    table = stages.measure_table()
    assert [(row["base"], row["tuned"]) for row in table.rows] == [(one.base, one.tuned) for one in stages.comparisons]
    change = stages.comparisons[0].heads
    pooled = next(row for row in change.figure2 if row.level == "head" and row.layers == "all")
    assert table.rows[0]["pairs_changed"]["value"] == pooled.distance.mean
    steps = [finding for finding in stages.findings if finding.kind == "stages.step"]
    assert {len(finding.evidence.keys() - {"unit"}) for finding in steps} == {2}


def test_tables_of_all_pairs_name_them(stages: aftertune.Stages) -> None:
    frame = stages.tables()["figure2"]
    assert set(frame.select("base", "tuned").unique().rows()) == {
        ("base", "sft"),
        ("sft", NAMES[2]),
        ("base", NAMES[2]),
    }


def test_the_run_has_a_page_on_all_and_the_report_of_each_pair(run: Path, stages: aftertune.Stages) -> None:
    page = (run / "report.html").read_text("utf-8")
    assert "dpo &lt;b&gt;" in page and "dpo <b>" not in page.split("<script", 1)[0]
    for place in ("base-tuned", "tuned-tuned-2", "base-tuned-2"):
        assert f'href="pairs/{place}/report.html"' in page and (run / "pairs" / place / "report.html").is_file()
    assert (run / "tables" / "pairs.csv").read_text("utf-8").startswith("base,tuned,")
    assert json.loads((run / "comparison.json").read_text("utf-8")) == stages.to_dict()
    assert aftertune.open_heads(run, "tuned-2").model.endswith("third")


def test_options_of_the_tuned_go_with_them_in_their_order(cli: CommandLine, places: list[Path], prompts: Path) -> None:
    given = ("compare", *places, "--run", "run", "--prompts", prompts, *QUICK)
    message = cli.refuses(*given, "--tuned-name", "one")
    assert "tuned-name is given 1 times for 2 tuned checkpoints" in message
    cli.succeeds(*given, "--tuned-name", "", "--tuned-name", "other")
    assert json.loads(Path("run/comparison.json").read_text("utf-8"))["names"] == ["base", "tuned", "other"]
