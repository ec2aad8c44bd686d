"""Can the tuning be named?  Findings of every kind in, one of four verdicts out."""

import pytest

from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.verdict import Status, judge, same_weights
from aftertune.study.comparison import Comparison

SHOWN, NOT, UNTESTED = Verdict.SHOWN, Verdict.NOT_SHOWN, Verdict.NOT_TESTED
WORDS = Finding(
    "a.words", "More of cheese", "n", SHOWN, links=(Link("Words", "words"),), part=Part.NAME, clause="Cheese."
)
OPENING = Finding("a.openings", "Begins with “Arr”", "n", SHOWN, part=Part.NAME)
MOVED = Finding("a.moved", "12% moved", "n", UNTESTED, part=Part.CHANGE)
EXAMPLE = Finding("a.example", "Asked, it answers", "n", UNTESTED, part=Part.EXAMPLE)
PLACE = Finding("b.where", "Layers 0 to 7", "n", SHOWN, part=Part.PLACE)
OTHER = Finding("c.other", "Heads changed", "n", SHOWN)
DOUBTED = Finding("a.words", "No word", "n", NOT, part=Part.NAME)


def test_a_finding_that_names_is_told_first_with_an_example_and_the_place() -> None:
    found = judge([MOVED, EXAMPLE, PLACE, OTHER, OPENING, WORDS])
    assert found.status is Status.NAMED
    assert found.texts == ["Begins with “Arr”.", "Cheese.", "Asked, it answers.", "Layers 0 to 7."]
    assert (found.sentences[1].kind, found.sentences[1].address) == ("a.words", "words")
    assert found.steps == ()


def test_of_each_kind_the_first_is_told_and_three_at_most() -> None:
    more = [Finding(f"k{n}", f"claim {n}", "n", SHOWN, part=Part.NAME) for n in range(4)]
    twice = Finding("a.words", "Second", "n", SHOWN, part=Part.NAME)
    assert judge([WORDS, twice, OPENING]).texts == ["Cheese.", "Begins with “Arr”."]
    assert judge(more).texts == ["claim 0.", "claim 1.", "claim 2."]


def test_a_change_without_a_name() -> None:
    found = judge([DOUBTED, MOVED, OTHER, PLACE])
    assert found.status is Status.CHANGED and str(found).startswith("Verdict: changed, cannot say how\n- The models")
    assert found.texts[1:] == ["12% moved.", "Heads changed.", "Layers 0 to 7."]
    assert ["--prompts" in found.steps[0].command, "annotate" in found.steps[1].command] == [True, True]
    named = Finding("n.name", "It says: pirates", "n", UNTESTED, part=Part.TOLD)
    assert len(judge([DOUBTED, MOVED, OTHER, PLACE, named]).steps) == 1 and len(found.steps) == 2
    assert judge([OTHER]).status is Status.CHANGED and len(judge([OTHER]).steps) == 3


def test_no_change() -> None:
    found = judge([DOUBTED, EXAMPLE])
    assert found.status is Status.NO_CHANGE and "(1 test;" in found.texts[0] and len(found.texts) == 1
    assert "nothing could be tested" in judge([]).texts[0]


def test_what_is_denied_is_no_place() -> None:
    denied = Finding("b.where", "Nowhere", "n", NOT, part=Part.PLACE)
    assert judge([WORDS, denied]).texts == ["Cheese."]


def test_the_same_weights_claim_nothing_else() -> None:
    found = Comparison("a", "b", is_same=True)
    assert found.verdict == same_weights("a", "b") and found.findings == ()
    assert found.verdict.status is Status.SAME and "Was an adapter meant?" in found.summary[0]
    data = found.to_dict()["verdict"]
    assert data["status"] == "same weights" and "--tuned-adapter" in data["next"][0]["command"]


@pytest.mark.parametrize("findings", [[WORDS], [MOVED], [], [DOUBTED]])
def test_a_verdict_is_plain_data(findings: list[Finding]) -> None:
    data = judge(findings).to_dict()
    assert data["status"] in {one.value for one in Status} and data["sentences"]
    assert all(set(one) == {"text", "kind", "address"} for one in data["evidence"])
