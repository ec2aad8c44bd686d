"""The few sentences that a comparison ends with."""

from typing import Any

import pytest

from aftertune.statistics.finding import Finding
from aftertune.study.comparison import summarise

SHOWN = [Finding(f"claim {n}", "numbers", True) for n in range(5)]
DOUBTED = Finding("no difference shown", "numbers", False)
SEEN = Finding("Mostly copied: 1 of 2 responses", "numbers", None)
WEAK = Finding("The maps hardly agree with removing tokens", "numbers", None, {"spearman_mean": 0.29})
GOOD = Finding("The maps roughly agree with removing tokens", "numbers", None, {"spearman_mean": 0.3})
HEADS = Finding("Heads: 9.0% of word pairs changed, no more than in lists of arbitrary words", "numbers", False)
SPACES = Finding("Concepts: spaces turned by 0.17° on average", "numbers", None)
IGNORED: Any = tuple(("d", f"p{n}") for n in range(7))
PROMPTS = Finding("The tuned model ignores 7 of 9 prompts", "numbers", None, prompts=IGNORED)


def test_without_a_claim_it_says_so_and_what_that_does_not_mean() -> None:
    first, *rest = summarise([DOUBTED, GOOD, SEEN, HEADS])
    assert first.startswith("Of 2 findings that were tested none is shown.") and "small sample" in first
    assert rest == [f"{HEADS.headline}."]
    assert summarise([SEEN]) == ["Nothing could be tested; all findings are descriptions."] == summarise([])


def test_what_is_shown_comes_first_and_three_claims_at_most() -> None:
    found = summarise([SEEN, *SHOWN, DOUBTED])
    assert found == ["Of 6 findings that were tested 5 are shown.", "claim 0.", "claim 1.", "claim 2."]
    assert summarise([SHOWN[0]])[0] == "Of 1 findings that were tested 1 is shown."


def test_a_warning_a_change_and_the_prompts_to_look_at_follow() -> None:
    found = summarise([WEAK, PROMPTS, SPACES, HEADS])
    assert found[1:] == [
        f"{WEAK.headline}.",
        f"{SPACES.headline}.",
        f"{HEADS.headline}.",
        "The tuned model ignores 7 of 9 prompts; look at p0, p1, p2, p3, p4 and 2 more.",
    ]


@pytest.mark.parametrize("n_prompts", [1, 2])
def test_six_sentences_at_most_and_the_prompts_stay(n_prompts: int) -> None:
    found = summarise([*SHOWN, WEAK, HEADS, SPACES, *[PROMPTS] * n_prompts])
    assert len(found) == 6 and all("; look at p0" in one for one in found[-n_prompts:])
    assert "look at" not in found[-n_prompts - 1]


def test_a_claim_is_told_once() -> None:
    changed = Finding("Heads: 9.0% of word pairs changed, more than in lists of arbitrary words", "numbers", True)
    assert summarise([changed]) == ["Of 1 findings that were tested 1 is shown.", f"{changed.headline}."]
