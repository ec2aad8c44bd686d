"""Which prompts are listed as only pretended to be followed, and which as ignored, and by what rule."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.attribution.map_file import read_maps
from aftertune.explainers.attribution.read_first import Answer, answers_of, prompts_to_read
from aftertune.explainers.attribution.released import locate
from aftertune.explainers.attribution.result import SalientMap
from aftertune.prompts.formats import read_prompts
from aftertune.statistics.finding import Finding, Link, Verdict
from comparison_samples import make_map, score_of

LOOP = ("▁go", "▁on", "▁and", "▁on") * 4


def silent(salient: SalientMap) -> SalientMap:
    return replace(salient, response_tokens=(), levels=np.zeros((2, 0), dtype=np.uint8))


def compared(*tuned: SalientMap, base: tuple[SalientMap, ...] = ()) -> AttributionChange:
    """Against a base of other prompts; among six others of k = 8 the tuned model's answers are as usual."""
    others = [make_map(f"other {n}", "new", 8) for n in range(6)]
    return compare_maps([make_map("else", "old", 8), *base, *others, *tuned], "old", "new")


def listed(change: AttributionChange) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"pretends": [], "ignores": []}
    for one in prompts_to_read(change):
        found[one.evidence["what"]] += [link.text for link in one.links]
    return found


def one(change: AttributionChange) -> Finding:
    (found,) = prompts_to_read(change)
    return found


def test_an_answer_below_half_of_the_usual_score_only_pretends() -> None:
    assert score_of(3) < score_of(8) / 2 < score_of(4)  # 8^(3/4) / 2 is 2.38; 3^(3/4) is 2.28 and 4^(3/4) 2.83
    low, enough = make_map("low", "new", 3), make_map("enough", "new", 4)
    assert listed(compared(low, enough)) == {"pretends": ["low"], "ignores": []}


def test_what_is_usual_is_told_by_the_other_answers_of_the_data_set_alone() -> None:
    rows = compared(make_map("low", "new", 1), make_map("elsewhere", "new", 16, "e")).instances
    found = {answer.id: answer for answer in answers_of(rows, "tuned")}
    assert found["low"].usual == pytest.approx(score_of(8)) and found["elsewhere"].usual is None
    copies = [make_map(f"copy {n}", "new", 16, response=LOOP) for n in range(9)]
    assert all(one.usual == pytest.approx(score_of(8)) for one in answers_of(compared(*copies).instances, "tuned"))
    few = compare_maps([make_map("b", "old", 1), *(make_map(f"{n}", "new", 8) for n in range(5))], "old", "new")
    assert {one.usual for one in answers_of(few.instances, "tuned")} == {None}  # four others each


def test_silence_and_copies_that_use_little_are_ignoring() -> None:
    # Of a loop the first four words count as new; the instruction matters for the first word alone.
    copy = make_map("copy", "new", 1, response=LOOP)
    good = make_map("good copy", "new", 4, response=LOOP)  # all four new words depend on the instruction
    assert listed(compared(silent(make_map("empty", "new", 8)), copy, good)) == {
        "pretends": [],
        "ignores": ["empty", "copy"],
    }


def test_a_rating_counts_more_than_a_score() -> None:
    tuned = [
        make_map("rated good", "new", 1, helpfulness=4),
        make_map("rated fair", "new", 1, helpfulness=2),
        make_map("rated bad", "new", 16, helpfulness=1),
        make_map("bad copy", "new", 16, helpfulness=1, response=LOOP),
        silent(make_map("rightly silent", "new", 8, helpfulness=4)),
    ]
    assert listed(compared(*tuned)) == {"pretends": ["rated bad"], "ignores": ["bad copy"]}
    assert [found.evidence["n_rated"] for found in prompts_to_read(compared(*tuned))] == [1, 1]


@pytest.mark.parametrize(
    ("known", "reads", "follows"),
    [
        ({}, True, True),
        ({"n_response": 4, "score": 0.0}, False, True),  # a short reply may be all that was asked for
        ({"n_response": 4, "rating": 1}, False, False),
        ({"n_response": 0}, False, False),
        ({"score": 0.5}, True, True),
        ({"score": 0.49}, True, False),
        ({"score": 0.0, "usual": None}, True, True),
        ({"is_copied": True, "score": 0.49}, False, False),
    ],
)
def test_the_rule_case_by_case(known: dict[str, Any], reads: bool, follows: bool) -> None:
    answer = replace(Answer("d", "1", n_response=5, is_copied=False, score=1.0, rating=None, usual=1.0), **known)
    assert (answer.reads_as_answer, answer.follows) == (reads, follows)


def test_what_the_base_does_too_is_not_laid_to_tuning() -> None:
    tuned = [silent(make_map(name, "new", 8)) for name in ("a", "b", "c")]
    base = (silent(make_map("a", "old", 8)), silent(make_map("z", "old", 8)), make_map("b", "old", 8))
    found = one(compared(*tuned, base=base))
    counts = {"n": 3, "n_prompts": 9, "n_rated": 0, "n_in_base_too": 1, "n_of_base": 2}
    assert found.evidence == {"what": "ignores"} | counts
    assert found.kind == "attribution.read_first" and found.verdict is Verdict.NOT_TESTED
    assert one(compared(*tuned)).evidence["n_in_base_too"] == 0


def test_links_open_the_prompts_where_the_page_lists_them() -> None:
    hidden = "b\u202e"
    change = compared(silent(make_map("a", "new", 8)), silent(make_map(hidden, "new", 8)))
    places = {row.id: number for number, row in enumerate(change.instances)}
    links = Link("a", f"prompt-{places['a']}"), Link("b⟨U+202E⟩", f"prompt-{places[hidden]}")
    assert one(change).links == links


def test_models_whose_answers_are_all_alike_are_suspected_of_nothing() -> None:
    assert not list(prompts_to_read(compared()))


def test_the_list_is_short() -> None:
    found = one(compared(*(silent(make_map(f"{n}", "new", 8)) for n in range(30))))
    assert len(found.links) == 20 and found.evidence["n"] == 30


def test_on_the_released_maps_the_rule_finds_what_people_rated_as_not_following(shared_data: Path) -> None:
    prompts = {prompt.id: prompt for prompt in read_prompts(shared_data / "annotated_prompts.jsonl")}
    maps = [locate(raw, prompts[raw.id]) for raw in read_maps(shared_data / "released_maps.parquet")]
    rated = {one.id: one.helpfulness for one in maps if one.model == "vicuna_7b"}
    unrated = compare_maps([replace(one, helpfulness=None) for one in maps], "llama_7b", "vicuna_7b")
    answers = [one for one in answers_of(unrated.instances, "tuned") if one.reads_as_answer and rated[one.id]]
    suspected = [one for one in answers if not one.follows]
    assert (sum(rated[one.id] == 1 for one in suspected), len(suspected)) == (8, 20)
    assert (sum(rated[one.id] == 1 for one in answers), len(answers)) == (22, 218)
