"""An annotator names a tuning: blind, several times, told only where the repeats agree; and it may abstain."""

import json
from pathlib import Path

import pytest

import output_samples as samples
from aftertune.errors import AnnotationError, RunError
from aftertune.explainers.annotation.naming.agree import agreed
from aftertune.explainers.annotation.naming.findings import questions
from aftertune.explainers.annotation.naming.result import NamingChange
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.statistics.finding import Finding, Part, Verdict
from aftertune.statistics.questions import answer
from aftertune.statistics.verdict import Status, judge
from aftertune.study.annotate import annotate, evidence_of, name_tuning
from aftertune.study.saved import open_comparison
from annotation_samples import save_concepts
from command_line import CommandLine
from fault_server import Body, fault_server

pytest_plugins = ("cli_fixtures",)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the outputs of two tiny models."""
    folder = samples.run_in(tmp_path_factory.mktemp("naming") / "run")
    samples.measure(folder, samples.planted(97), noise_draws=0)
    return Path(folder.address)


def change(*answers: str | None, n_unusable: int = 0) -> NamingChange:
    return NamingChange("one", "two", "m", False, answers, n_unusable, ("a line",))


@pytest.mark.parametrize(
    ("answers", "name", "n"),
    [
        (["talks like a pirate", "pirate talk", "Pirates' speech", "a pirate persona", None], "talks like a pirate", 4),
        (["talks like a pirate", "pirate talk", "a pirate", None, None], None, 0),
        (["writes about food", "writes about films", "writes about music", "writes about law", "writes"], None, 0),
        (["gives a different answer", "answers with other words", "uses different words", "answers"] * 2, None, 0),
        (["cooking", "the kitchen", "recipes", "food", "meals"], None, 0),
        ([None] * 5, None, 0),
        (["a pirate"], None, 0),
    ],
)
def test_a_name_is_told_where_four_of_five_share_a_content_word(
    answers: list[str | None], name: str | None, n: int
) -> None:
    found = agreed(answers)
    assert (found.name if found else None, len(found.names) if found else 0) == (name, n)


def test_a_name_joins_the_verdict_and_does_not_make_it() -> None:
    told = answer(questions(change(*["like a pirate"] * 4, None)))
    assert [(one.verdict, one.part) for one in told] == [(Verdict.NOT_TESTED, Part.TOLD)]
    assert told[0].evidence["n_agreeing"] == 4 and told[0].evidence["n_abstained"] == 1
    assert judge(told).status is Status.NO_CHANGE and "pirate" not in judge(told).texts[0]
    moved = Finding("outputs.moved", "10% moved", "", Verdict.NOT_TESTED, part=Part.CHANGE)
    verdict = judge([moved, *told])
    assert verdict.status is Status.CHANGED and "“like a pirate” (4 of 5 repeats agree)" in verdict.texts[2]
    none = answer(questions(change("ships", None, None, "the sea", None, n_unusable=1)))
    assert [(one.verdict, one.part) for one in none] == [(Verdict.CANNOT_TELL, None)]
    assert none[0].evidence["n_abstained"] == 2


def test_the_evidence_is_blind_and_the_largest_differences_come_first(run: Path) -> None:
    lines = evidence_of(run)["base-tuned"]
    begun = ["Share of", "Mean length", "Answers that", "Words that", "Asked", "Written freely by the second"]
    order = [next(number for number, text in enumerate(begun) if line.startswith(text)) for line in lines]
    assert set(order) >= {3, 4} and [n for n in order if n > 1] == sorted(n for n in order if n > 1)
    assert not any(name in line for line in lines for name in ("base", "tuned", "noise", "p ="))
    likelier = next(line for line in lines if line.startswith("Words that are likelier with the second in plain texts"))
    assert likelier.endswith(": ¡.")


def test_each_repeat_is_asked_and_kept_and_the_comparison_tells_the_name(run: Path) -> None:
    asked = []

    def reply(_: str, about: str, body: Body) -> str:
        asked.append((about, body["temperature"]))
        return json.dumps({"tuning": "Cannot Tell" if len(asked) == 1 else "speaks like a pirate"})

    with fault_server(answer=reply) as served:
        found = name_tuning(run, served.address, "m", AnnotationSettings(concurrency=1))
        assert name_tuning(run, served.address, "m", AnnotationSettings(concurrency=1)) == found
    lines = evidence_of(run)["base-tuned"]
    assert sorted(temperature for _, temperature in asked) == [0, 1, 1, 1, 1]
    assert all(about.splitlines() == [f"- {' '.join(line.split())}" for line in lines] for about, _ in asked)
    assert found["base-tuned"]["answers"].count("speaks like a pirate") == 4
    comparison = open_comparison(run)
    assert comparison.naming.agreed.name == "speaks like a pirate"
    assert comparison.to_dict()["naming"]["n_agreeing"] == 4
    assert any("speaks like a pirate" in text for text in comparison.verdict.texts)
    assert comparison.tables()["tuning_names"]["agrees"].sum() == 4


def test_unusable_names_are_counted(run: Path) -> None:
    with fault_server(answer=lambda *_: "") as served:
        found = name_tuning(run, served.address, "other", AnnotationSettings(repeats=2))
    assert (found["base-tuned"]["answers"], found["base-tuned"]["n_unusable"]) == ([None, None], 2)


def test_who_and_what_can_not_name(run: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="Word vectors can't name"):
        name_tuning(run, "words")
    with pytest.raises(AnnotationError, match="is not known"):
        name_tuning(run, "ftp://x")
    alone = save_concepts(tmp_path / "alone", {"model": [[["red"]]]})
    with pytest.raises(RunError, match="holds one model"):
        name_tuning(alone, "http://x/v1", "m")


def test_the_command_names_first_and_annotates_components_where_there_are_any(run: Path, cli: CommandLine) -> None:
    with fault_server() as served:
        server = ("--server", served.address, "--model", "cli")
        shown = cli.run("annotate", str(run), *server, "--yes")
        assert "5 names of a tuning" in shown.err and "base-tuned: “speaks like a pirate” (5 of 5" in shown.out
        plain = cli.run("annotate", str(run), *server, "--json", "--name-only")
        assert json.loads(plain.out)["names"]["base-tuned"]["name"] == "speaks like a pirate"
        refused = cli.run("annotate", str(run), "--server", "words", "--name-only")
        assert refused.code == 2 and "Word vectors can't name" in refused.err
    with pytest.raises(AnnotationError, match="No components are read"):
        annotate(run, served.address, "m")
