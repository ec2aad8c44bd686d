"""Which prompts are listed to be read first, for what reasons, and how often those were right."""

import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.attribution.read_first import (
    HITS,
    LOW,
    OF_ALL,
    RATED,
    Answer,
    answers_of,
    prompts_to_read,
    rows_to_read,
)
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.score import is_looping, is_one_word
from aftertune.statistics.finding import Finding, Link, Verdict
from comparison_samples import N_RESPONSE, make_map, score_of

LOOP = ("▁go", "▁on", "▁and", "▁on") * 4
HITS_SCRIPT = Path(__file__).resolve().parents[1] / "studies" / "read_first" / "hits.py"


def silent(salient: SalientMap) -> SalientMap:
    return replace(salient, response_tokens=(), levels=np.zeros((2, 0), dtype=np.uint8))


def short(salient: SalientMap, *tokens: str) -> SalientMap:
    return replace(salient, response_tokens=tokens, levels=salient.levels[:, : len(tokens)])


def compared(*tuned: SalientMap, base: tuple[SalientMap, ...] = (), **more: Any) -> AttributionChange:
    """Against a base of other prompts; among six others of k = 8 the tuned model's answers are as usual."""
    others = [make_map(f"other {n}", "new", 8) for n in range(6)]
    return compare_maps([make_map("else", "old", 8), *base, *others, *tuned], "old", "new", **more)


def reasons(change: AttributionChange) -> dict[str, str]:
    return {row.id: row.reasons_tuned for row in rows_to_read(change)}


def one(change: AttributionChange) -> Finding:
    (found,) = prompts_to_read(change)
    return found


def test_below_half_of_the_usual_score_the_density_of_use_is_low() -> None:
    assert score_of(3) < score_of(8) / 2 < score_of(4)  # 8^(3/4) / 2 is 2.38; 3^(3/4) is 2.28 and 4^(3/4) 2.83
    assert reasons(compared(make_map("low", "new", 3), make_map("enough", "new", 4))) == {"low": LOW}


def test_what_is_usual_is_told_by_the_other_answers_of_the_data_set_alone() -> None:
    rows = compared(make_map("low", "new", 1), make_map("elsewhere", "new", 16, "e")).instances
    found = {answer.id: answer for answer in answers_of(rows, "tuned")}
    assert found["low"].usual == pytest.approx(score_of(8)) and found["elsewhere"].usual is None
    copies = [make_map(f"copy {n}", "new", 16, response=LOOP) for n in range(9)]
    assert all(one.usual == pytest.approx(score_of(8)) for one in answers_of(compared(*copies).instances, "tuned"))
    few = compare_maps([make_map("b", "old", 1), *(make_map(f"{n}", "new", 8) for n in range(5))], "old", "new")
    assert {one.usual for one in answers_of(few.instances, "tuned")} == {None}  # four others each


def test_each_reason_has_a_name() -> None:
    tuned = [
        silent(make_map("empty", "new", 8)),
        short(make_map("word", "new", 8), "▁Yes", "."),
        short(make_map("words", "new", 8), "▁Yes", ",", "▁please"),
        make_map("loop", "new", 8, response=LOOP),
        make_map("quote", "new", 8, response=tuple(f"▁{n % 8}" for n in range(N_RESPONSE))),
    ]
    assert reasons(compared(*tuned)) == {
        "empty": "empty",
        "word": "one word",
        "loop": "looping, copied",
        "quote": "copied",
    }


def test_a_loop_is_half_of_the_tokens_in_runs_that_come_three_times() -> None:
    assert is_looping("abcdabcdabcd") and not is_looping("abcdabcd")
    assert is_looping([*"abcdabcdabcd", *(str(n) for n in range(12))])
    assert not is_looping([*"abcdabcdabcd", *(str(n) for n in range(13))])
    assert not is_looping("") and not is_looping("aaaa") and is_looping("aaaaaa")


def test_one_word_has_no_white_space_in_it() -> None:
    assert is_one_word(["▁Yes", "."]) and is_one_word(["ĠBon", "jour"]) and not is_one_word([])
    assert not is_one_word(["▁Yes", "▁it"]) and not is_one_word(["a", "Ċ", "b"]) and not is_one_word(["▁"])


def test_cut_off_has_the_most_tokens_that_were_asked_for() -> None:
    maps = make_map("long", "new", 8), make_map("given", "new", 8)
    change = compared(*maps, settings={"max_new_tokens": N_RESPONSE}, given={"given"})
    cut_off = {row.id: row.cut_off_tuned for row in change.instances}
    assert cut_off["long"] is True and cut_off["given"] is None
    assert reasons(change)["long"] == "cut off" and "given" not in reasons(change)
    more = compared(*maps, settings={"max_new_tokens": N_RESPONSE + 1})
    assert not reasons(more) and {row.cut_off_tuned for row in more.instances} == {None, False}
    assert not reasons(compared(*maps))


def test_a_rating_counts_more_than_a_score() -> None:
    tuned = [
        make_map("rated good", "new", 1, helpfulness=4),
        make_map("rated fair", "new", 1, helpfulness=2),
        make_map("rated bad", "new", 16, helpfulness=1),
        make_map("bad copy", "new", 16, helpfulness=1, response=LOOP),
        silent(make_map("rightly silent", "new", 8, helpfulness=4)),
    ]
    assert reasons(compared(*tuned)) == {"rated bad": RATED, "bad copy": f"{RATED}, looping, copied"}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, ()),
        ({"n_response": 4, "score": 0.0}, ()),  # a short reply may be all that was asked for
        ({"n_response": 4, "rating": 1}, (RATED,)),
        ({"n_response": 0}, ("empty",)),
        ({"score": 0.5}, ()),
        ({"score": 0.49}, (LOW,)),
        ({"score": 0.0, "usual": None}, ()),
        ({"is_copied": True, "score": 0.49}, ("copied",)),
        ({"is_cut_off": True, "is_looping": True}, ("looping", "cut off")),
        ({"is_cut_off": True, "score": 0.0, "rating": 3}, ()),
    ],
)
def test_the_rule_case_by_case(known: dict[str, Any], expected: tuple[str, ...]) -> None:
    flags = dict.fromkeys(("is_copied", "is_looping", "is_one_word", "is_cut_off"), False)
    answer = replace(Answer("d", "1", n_response=5, **flags, score=1.0, rating=None, usual=1.0), **known)
    assert answer.reasons == expected


def test_the_base_is_counted_by_the_same_rules_and_what_is_new_comes_first() -> None:
    tuned = [silent(make_map(name, "new", 8)) for name in ("a", "b", "c")]
    loop = make_map("b", "old", 8, response=LOOP)
    base = (silent(make_map("a", "old", 8)), silent(make_map("z", "old", 8)), loop)
    change = compared(*tuned, base=base)
    found = one(change)
    counts = {"n": 3, "n_prompts": 9, "n_base": 4, "n_in_base_too": 1}
    assert found.evidence == counts | {
        "base": {"empty": 2, "looping": 1, "copied": 1},
        "tuned": {"empty": 3},
    }
    assert "empty 3 (the base: 2 of 4); looping 0 (the base: 1 of 4)" in found.sentence
    assert found.kind == "attribution.read_first" and found.verdict is Verdict.NOT_TESTED
    assert [row.id for row in rows_to_read(change)] == ["b", "c", "a"]
    assert one(compared(*tuned)).evidence["n_in_base_too"] == 0


def test_both_responses_and_the_reasons_stand_in_the_table() -> None:
    base = make_map("a", "old", 8, response=LOOP)
    (row,) = rows_to_read(compared(short(make_map("a", "new", 8), "▁Yes"), base=(base,)))
    assert (row.reasons_tuned, row.reasons_base, row.response_tuned) == ("one word", "looping, copied", "Yes")
    assert row.response_base == "go on and on " * 3 + "go on and on"
    (long,) = rows_to_read(compared(make_map("b", "new", 8, response=("▁long" * 40, *LOOP[1:]))))
    assert len(long.response_tuned) == 150 and long.response_base == ""


def test_links_open_the_prompts_where_the_page_lists_them_and_say_why() -> None:
    hidden = "b\u202e"
    change = compared(silent(make_map("a", "new", 8)), silent(make_map(hidden, "new", 8)))
    places = {row.id: number for number, row in enumerate(change.instances)}
    links = Link("a (empty)", f"prompt-{places['a']}"), Link("b⟨U+202E⟩ (empty)", f"prompt-{places[hidden]}")
    assert one(change).links == links


def test_models_whose_answers_are_all_alike_give_no_reason() -> None:
    assert not list(prompts_to_read(compared()))


def test_the_list_is_short() -> None:
    found = one(compared(*(silent(make_map(f"{n}", "new", 8)) for n in range(30))))
    assert len(found.links) == 20 and found.evidence["n"] == 30


def test_how_often_a_reason_was_right_stands_beside_it_with_its_command() -> None:
    found = one(compared(make_map("low", "new", 3)))
    assert "low density of use 8 of 20" in found.sentence and "63 of 330" in found.sentence
    assert "python studies/read_first/hits.py MAPS PROMPTS" in found.sentence
    assert "Vicuna" not in one(compared(silent(make_map("a", "new", 8)))).sentence  # of empty ones nothing is known


def test_on_the_released_maps_the_reasons_are_right_as_often_as_is_said(shared_data: Path) -> None:
    files = shared_data / "released_maps.parquet", shared_data / "annotated_prompts.jsonl"
    found = runpy.run_path(str(HITS_SCRIPT))["hits"](*files)
    assert found.pop("all") == OF_ALL and found.pop("any reason") == (52, 146)
    assert found == HITS


def test_the_script_says_how_it_is_called() -> None:
    called = subprocess.run([sys.executable, HITS_SCRIPT], capture_output=True, text=True, check=False)
    assert called.returncode and "MAPS PROMPTS" in called.stderr
