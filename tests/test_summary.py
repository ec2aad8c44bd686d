"""The few sentences that a comparison ends with."""

from typing import Any

import pytest

from aftertune.statistics.finding import Finding, Link, Verdict
from aftertune.study.comparison import summarise

SHOWN = [Finding(f"a.claim{n}", f"claim {n}", "numbers", Verdict.SHOWN) for n in range(5)]
DOUBTED = Finding("a.doubted", "no difference shown", "numbers", Verdict.NOT_SHOWN)
SEEN = Finding("a.seen", "Mostly copied: 1 of 2 responses", "numbers", Verdict.NOT_TESTED)
WEAK = Finding("a.check", "The maps hardly agree with removing tokens", "numbers", Verdict.NOT_TESTED)
HEADS = Finding("b.distance", "Heads: 9.0% of word pairs changed", "numbers", Verdict.NOT_SHOWN)
LINKS = tuple(Link(f"p{n}", f"prompt-{n}") for n in range(7))
PROMPTS = Finding("a.read_first", "Prompts to read first: 7 of 9", "numbers", Verdict.NOT_TESTED, links=LINKS)
ALWAYS = (WEAK.kind, HEADS.kind, PROMPTS.kind)


def told(*findings: Finding, **more: Any) -> list[str]:
    return summarise(findings, ALWAYS, **more)


def test_without_a_claim_it_says_so_and_what_that_does_not_mean() -> None:
    first, *rest = told(DOUBTED, SEEN, HEADS)
    assert first.startswith("No difference between the models was found (2 tests;") and "small sample" in first
    assert rest == [f"{HEADS.headline}."]
    assert told(SEEN) == told() and told()[0].startswith("Nothing could be tested")


def test_what_is_shown_comes_first_and_three_claims_at_most() -> None:
    first, *rest = told(SEEN, *SHOWN, DOUBTED)
    assert first.startswith("5 of 6 ") and rest == ["claim 0.", "claim 1.", "claim 2."]
    assert told(SHOWN[0])[0].startswith("1 of 1 ")


def test_tests_of_other_findings_can_be_counted() -> None:
    assert told(SHOWN[0], tested=[SHOWN[0], *[DOUBTED] * 11])[0].startswith("1 of 12 ")
    assert "12 tests" in told(SEEN, tested=[DOUBTED] * 12)[0]


def test_what_is_always_told_follows_and_says_where_to_look() -> None:
    assert told(WEAK, PROMPTS, HEADS)[1:] == [
        f"{WEAK.headline}.",
        f"{HEADS.headline}.",
        "Prompts to read first: 7 of 9 (see p0, p1, p2, p3, p4 and 2 more).",
    ]


@pytest.mark.parametrize("n_prompts", [1, 2])
def test_six_sentences_at_most_and_the_prompts_stay(n_prompts: int) -> None:
    found = told(*SHOWN, WEAK, HEADS, WEAK, *[PROMPTS] * n_prompts)
    assert len(found) == 6 and all("(see p0" in one for one in found[-n_prompts:])
    assert "(see" not in found[-n_prompts - 1]


def test_a_claim_is_told_once() -> None:
    changed = Finding(HEADS.kind, "Heads: 9.0% of word pairs changed", "numbers", Verdict.SHOWN)
    assert told(changed)[1:] == [f"{changed.headline}."]
