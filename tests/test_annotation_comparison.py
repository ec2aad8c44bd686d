"""Tables 4 to 12 and figures 3 and 7: what an annotator made of components, by hand and by planted annotations."""

import json
from math import comb, sqrt
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from aftertune.errors import RunError
from aftertune.explainers.annotation.category_shares import CategoryRow, category_table, paired_permutation_p_value
from aftertune.explainers.annotation.change import AnnotationChange, compare_annotations
from aftertune.explainers.annotation.descriptions import words_of
from aftertune.explainers.annotation.findings import measures, questions, table_question
from aftertune.explainers.annotation.result import LEVELS, SCENARIOS, are_copies
from aftertune.statistics.agreement import fleiss_kappa
from aftertune.statistics.corrections import holm
from aftertune.statistics.effects import N_RESAMPLES, hedges_g
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.questions import answer, is_shown
from aftertune.statistics.tests import permutation_p_value, welch_p_value
from annotated_samples import (
    BASE,
    CANNOT_TELL,
    TUNED,
    Concepts,
    make_annotations,
    make_components,
    make_marks,
    random_marks,
    said,
)

NAN = float("nan")
# Fleiss (1971), as it stands in textbooks: 10 items, 14 raters, 5 answers, kappa 0.210.
FLEISS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def compared(base: Concepts = BASE, tuned: Concepts = TUNED, **options: Any) -> AnnotationChange:
    return compare_annotations(make_annotations(base, tuned), "Llama", "Vicuna", (0, 1), **options)


def findings_of(change: AnnotationChange) -> list[Finding]:
    return answer(questions(change))


def row_of(change: AnnotationChange, category: str) -> CategoryRow:
    return {row.category: row for row in change.categories}[category]


@pytest.mark.parametrize(
    ("category", "base", "tuned"),
    [
        ("interpreted", [3 / 4, 2 / 4, 3 / 4], [3 / 4, 4 / 4, 3 / 3]),  # the unreadable description counts nowhere
        ("coding", [1 / 3, 1 / 2, 1 / 3], [2 / 3, 1 / 3, 2 / 3]),  # nor do the unreadable tasks
        ("writing", [1 / 3, 1 / 2, 1 / 3], [1 / 3, 1 / 3, 1 / 3]),
        ("translation", [1 / 3, 1 / 2, 1 / 3], [1 / 3, 1 / 3, 1 / 3]),
        ("math", [0, 0, 0], [0, 0, 0]),
        ("semantics", [1, 1, 2 / 3], [1, 3 / 4, 1]),
        ("syntax", [0, 0, 1 / 3], [0, 0, 0]),
        ("morphology", [0, 0, 0], [0, 1 / 4, 0]),
        ("phonology", [0, 0, 0], [0, 0, 0]),
    ],
)
def test_shares_of_a_repeat_are_those_counted_by_hand(category: str, base: list[float], tuned: list[float]) -> None:
    row = row_of(compared(), category)
    for spread, shares in ((row.base, base), (row.tuned, tuned)):
        assert spread.n == 3 and spread.mean == pytest.approx(np.mean(shares))
        assert spread.std == pytest.approx(sqrt(np.mean((np.array(shares) - np.mean(shares)) ** 2)))
    assert row.difference == pytest.approx(np.mean(tuned) - np.mean(base))


def test_tests_are_welchs_and_a_permutation_test_between_repeats() -> None:
    row = row_of(compared(), "coding")
    before, after = np.array([1 / 3, 1 / 2, 1 / 3]), np.array([2 / 3, 1 / 3, 2 / 3])
    assert row.p_value == pytest.approx(stats.ttest_ind(after, before, equal_var=False).pvalue)
    assert row.p_value_permutation == pytest.approx(permutation_p_value(after, before))
    assert row.effect_size_g == pytest.approx(hedges_g(after, before))


def test_published_p_values_follow_from_the_published_means_and_spreads() -> None:
    # Table 6, coding: 31.90±.34 against 29.72±.31 over five repeats, p = 1.4e-5; only a ± that divides by 5 gives it.
    scores = stats.zscore([1.0, 2.0, 3.0, 4.0, 5.0])
    p = welch_p_value(31.90 + 0.34 * scores, 29.72 + 0.31 * scores, two_sided=True)
    assert p == pytest.approx(1.4e-5, abs=1e-6)


def test_holms_correction_is_over_the_scenarios_and_apart_over_the_levels() -> None:
    generator = np.random.default_rng(1)
    base, tuned = (random_marks(name, 30, 5, share, generator) for name, share in (("a", 0.4), ("b", 0.6)))
    for kind, names in (("scenario", SCENARIOS), ("level", LEVELS)):
        rows = category_table(base, tuned, kind, names)
        for value in ("p_value", "p_value_permutation", "p_value_components"):
            order = sorted(rows, key=lambda row: getattr(row, value))
            expected = np.maximum.accumulate([getattr(row, value) * (4 - at) for at, row in enumerate(order)])
            assert [getattr(row, f"{value}_holm") for row in order] == pytest.approx(np.minimum(expected, 1).tolist())


def test_what_one_repeat_cannot_tell_is_none() -> None:
    first = [{place: answers[:1] for place, answers in concepts.items()} for concepts in (BASE, TUNED)]
    change = compared(*first)
    names = ("p_value", "p_value_holm", "p_value_permutation", "p_value_permutation_holm", "effect_size_g")
    assert all(getattr(row, name) is None for row in change.categories for name in names)
    assert all(row.kappa is None for row in change.agreement)
    assert {(f.kind, f.verdict) for f in findings_of(change)} == {
        *((f"annotation.{kind}", Verdict.CANNOT_TELL) for kind in ("tasks", "levels", "interpreted")),
        *((f"annotation.{kind}", Verdict.NOT_TESTED) for kind in ("agreement", "words")),
    }


def test_the_interval_draws_places_of_both_models_together() -> None:
    generator = np.random.default_rng(5)
    base, tuned = ((generator.random((9, 2)) < share).astype(float) for share in (0.3, 0.6))
    base[2, 1] = tuned[4, 0] = NAN
    marks = [make_marks(name, coding=table) for name, table in (("a", base), ("b", tuned))]
    row = category_table(*marks, "scenario", ("coding",), seed=3)[0]
    places = np.random.default_rng(3).integers(0, 9, (N_RESAMPLES, 9))
    drawn = [np.nanmean(tuned[at], axis=0).mean() - np.nanmean(base[at], axis=0).mean() for at in places]
    assert row.difference_interval == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_shares_by_layers_and_ranks() -> None:
    change = compared(n_groups=2)
    figure3 = {(row.model, row.layers, row.level): row.share for row in change.figure3}
    assert len(figure3) == 2 * 2 * 4
    assert figure3["Llama", "1", "syntax"].mean == pytest.approx((0 + 0 + 1) / 3)
    assert figure3["Vicuna", "1", "morphology"].mean == pytest.approx((0 + 1 / 2 + 0) / 3)
    figure7 = {(row.model, row.layers, row.ranks): row.share for row in change.figure7}
    assert len(figure7) == 2 * 3 * 3
    assert figure7["Llama", "0", "2"].mean == pytest.approx(2 / 3)
    assert figure7["Vicuna", "1", "2"].mean == pytest.approx((0 + 1) / 2) and figure7["Vicuna", "1", "2"].n == 2
    assert figure7["Llama", "all", "all"] == change.interpreted.base


def test_groups_have_four_layers_and_there_are_ten_bands_of_ranks_unless_told_otherwise() -> None:
    dates = [said("dates", "writing", "semantics")] * 2
    concepts = {(layer, rank): dates for layer in range(8) for rank in range(1, 31)}
    change = compare_annotations(make_annotations(concepts, concepts), "a", "b", range(8))
    assert list(dict.fromkeys(row.layers for row in change.figure3)) == ["0-3", "4-7"]
    bands = list(dict.fromkeys(row.ranks for row in change.figure7))
    assert bands[:2] == ["1-3", "4-6"] and bands[-2:] == ["28-30", "all"] and len(bands) == 11


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("Programming languages", ["programming", "language"]),
        ("words related to functions/methods", ["word", "related", "function", "method"]),
        ("foreign-languages, and the keys of maps", ["foreign-language"]),
        ("letters, data analysis 2020 C++", ["letter", "data", "analysis"]),
        ("Wörter über Städte", ["wörter", "über", "städte"]),
        ("", []),
    ],
)
def test_words_that_count(description: str, words: list[str]) -> None:
    assert list(words_of(description)) == words


def test_words_of_descriptions_are_counted_ranked_and_compared() -> None:
    # Base: foreign 3, word 2, name 2, date(s) 2, programming 2, language, term, code, keyword 1 each: 15 in all.
    # Tuned: foreign 3, word 3 + 1, programming 3 + 2, method 3, language 2, program 1, suffix 1: 19 in all.
    rows = {row["word"]: row for row in compared().words.filter(layers="all").to_dicts()}
    assert rows["programming"]["n_base"] == 2 and rows["programming"]["n_tuned"] == 5
    assert rows["programming"]["change"] == pytest.approx(5 / 19 - 2 / 15)
    assert (rows["programming"]["rank_base"], rows["programming"]["rank_tuned"]) == (2, 1)
    assert rows["foreign"]["change"] == pytest.approx(3 / 19 - 3 / 15) and rows["foreign"]["rank_change"] == 1 - 3
    assert rows["method"]["rank_base"] == 10 and rows["method"]["rank_change"] == 10 - 3
    assert sum(row["frequency_tuned"] for row in rows.values()) == pytest.approx(1)
    change = compared()
    assert change.risen_words(n=2)["word"].to_list() == ["method", "programming"]
    assert change.fallen_words(n=2)["word"].to_list() == ["date", "name"]
    assert change.risen_words("0-1", 1)["word"].to_list() == ["method"]


def test_the_clearest_concepts_are_marked_alike_in_every_repeat() -> None:
    change = compared()
    assert change.clearest("Llama").select("layer", "rank").rows() == [(0, 1)]
    assert change.clearest("Vicuna").select("layer", "rank").rows() == [(0, 1), (0, 2)]
    (first,) = change.clearest("Llama").to_dicts()
    assert first["description"] == "foreign words" and first["words"] is None
    assert first["descriptions"] == ["foreign words", "Foreign words or names", "foreign names"]
    assert (first["scenarios"], first["level"]) == (["translation"], "semantics")


def test_with_components_the_concepts_whose_words_lie_nearest_come_first() -> None:
    near = make_components({(0, 1): 0.1, (0, 2): 0.3, (1, 1): 0.9, (1, 2): 0.9})
    found = compared(components={"base": near, "tuned": near}).clearest("Vicuna")
    assert found["rank"].to_list() == [2, 1] and found["words"][0].to_list() == ["first2", "second"]
    assert found["variance_share"].to_list() == pytest.approx([0.05, 0.1])


def test_fleiss_kappa_of_the_textbook_and_by_hand() -> None:
    assert fleiss_kappa(np.array(FLEISS, dtype=float)) == pytest.approx(0.20993, abs=1e-5)
    # Two raters, three items: agree, agree, differ. Observed 2/3; answers 3 to 3, so expected 1/2.
    assert fleiss_kappa(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])) == pytest.approx(1 / 3)
    assert fleiss_kappa(np.array([[2.0, 0.0], [0.0, 2.0]])) == pytest.approx(1)
    for undefined in (np.empty((0, 2)), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[3.0, 0.0]])):
        assert fleiss_kappa(undefined) is None


def test_agreement_of_repeats_and_answers_that_cannot_be_used() -> None:
    change = compared()
    rows = {(row.model, row.question): row for row in change.agreement}
    # Llama: 3, 2, 3 and 0 of 3 repeats describe a concept: observed (1 + 1/3 + 1 + 1) / 4, expected (8² + 4²) / 12².
    expected = (64 + 16) / 144
    assert rows["Llama", "interpreted"].kappa == pytest.approx((10 / 12 - expected) / (1 - expected))
    # Of its two concepts described throughout, one is semantics in all repeats, the other in two of three.
    expected = (25 + 1) / 36
    assert rows["Llama", "level"].n_components == 2
    assert rows["Llama", "level"].kappa == pytest.approx(((1 + 1 / 3) / 2 - expected) / (1 - expected))
    assert rows["Llama", "coding"].kappa == pytest.approx(1) and rows["Llama", "math"].kappa is None
    assert rows["Vicuna", "coding"].n_components == 2 and rows["Vicuna", "interpreted"].n_components == 3
    counts = {(row.model, row.step): (row.n_unparsed, row.n_answers) for row in change.unparsed}
    assert counts["Vicuna", "description"] == (1, 12) and counts["Llama", "description"] == (0, 12)
    assert counts["Vicuna", "tasks"] == (1, 10) and counts["Vicuna", "level"] == (0, 10)


def test_repeats_that_are_copies_of_one_another_say_nothing_of_agreement() -> None:
    copied: Concepts = {place: [answers[0]] * 3 for place, answers in TUNED.items()}
    change = compared(BASE, copied)
    assert all(row.kappa is None for row in change.agreement if row.model == "Vicuna")
    assert any(row.kappa is not None for row in change.agreement if row.model == "Llama")
    assert not are_copies(make_annotations(tuned=TUNED).filter(role="tuned"))
    one_repeat = make_annotations(tuned=copied).filter(role="tuned", repeat=0)
    one_concept = make_annotations(tuned=copied).filter(role="tuned", layer=0, rank=1)
    assert not are_copies(one_repeat) and not are_copies(one_concept), "neither was asked twice of several"
    (trust,) = [one for one in findings_of(compared(copied, copied)) if one.kind == "annotation.agreement"]
    assert "does not sample" in trust.sentence and not [row for row in trust.evidence["agreement"] if row["kappa"]]


def test_places_that_were_not_annotated_in_every_repeat_count_nowhere() -> None:
    whole = compared(BASE, {place: answers for place, answers in TUNED.items() if place != (1, 1)})
    assert (whole.n_components, whole.n_left_out) == (3, 1)
    assert row_of(whole, "coding").base.mean == pytest.approx(0)
    partial = make_annotations().filter(~((pl.col("role") == "base") & (pl.col("rank") == 2) & (pl.col("repeat") == 1)))
    change = compare_annotations(partial, "Llama", "Vicuna", (0, 1))
    assert (change.n_components, change.n_left_out) == (2, 2)
    (trust,) = [one for one in findings_of(change) if one.kind == "annotation.agreement"]
    assert trust.evidence["n_left_out"] == 2 and "2 components" in trust.sentence


def test_the_order_of_rows_changes_nothing() -> None:
    shuffled = make_annotations().sample(fraction=1, shuffle=True, seed=2)
    assert compare_annotations(shuffled, "Llama", "Vicuna", (0, 1)).to_dict() == compared().to_dict()


def test_a_planted_change_is_claimed_with_what_its_p_values_speak_of() -> None:
    writing, coding = said("dates", "writing", "semantics"), said("code", "coding", "semantics")
    base = {(0, rank): [coding if (rank + r) % 9 == 0 else writing for r in range(5)] for rank in range(1, 31)}
    tuned = {(0, rank): [coding if (rank + r) % 3 == 0 else writing for r in range(5)] for rank in range(1, 30)}
    tuned |= {(0, 30): [coding] * 5}
    change = compare_annotations(make_annotations(base, tuned), "Llama", "Vicuna", (0,))
    claimed = [f for f in findings_of(change) if f.verdict is Verdict.SHOWN]
    assert [(f.kind, f.evidence["category"]) for f in claimed] == [
        ("annotation.tasks", "writing"),
        ("annotation.tasks", "coding"),
    ]
    assert claimed[0].evidence["difference"] < 0 < claimed[1].evidence["difference"]
    assert claimed[0].headline.startswith("Fewer") and claimed[1].headline.startswith("More")
    assert "the annotator's noise" in claimed[1].sentence
    assert row_of(change, "coding").p_value_permutation == pytest.approx(2 / comb(10, 5))
    assert row_of(change, "math").p_value is None
    unknown = [f for f in findings_of(change) if f.verdict is Verdict.CANNOT_TELL]
    assert set(unknown[0].evidence) == {"math", "translation"}


def test_a_steady_annotator_alone_does_not_make_a_claim() -> None:
    base = {(0, rank): [said("dates", "coding" if rank == 1 else "", "semantics")] * 5 for rank in range(1, 21)}
    base |= {(0, 20): [said("dates", "coding" if r == 0 else "", "semantics") for r in range(5)]}
    tuned = base | {(0, 2): [said("code", "coding", "semantics")] * 5}
    change = compare_annotations(make_annotations(base, tuned), "Llama", "Vicuna", (0,))
    row = row_of(change, "coding")
    assert row.p_value_holm is not None and row.p_value_holm < 0.05
    assert row.p_value_permutation_holm is not None and row.p_value_permutation_holm < 0.05
    assert row.p_value_components == 1  # one place differs, so either side gives a difference as large
    (finding,) = [f for f in findings_of(change) if f.evidence.get("category") == "coding"]
    assert finding.verdict is Verdict.NOT_SHOWN and finding.evidence["p_value_corrected"] == 1


def test_the_models_change_sides_at_random_places() -> None:
    base, tuned = np.zeros((4, 2)), np.array([[1.0, 1.0], [1.0, NAN], [1.0, 1.0], [0.0, 0.0]])
    # Three places differ: 2 of their 8 ways to change sides lie as far apart. The half-known place weighs half.
    assert paired_permutation_p_value(base, tuned) == pytest.approx(2 / 8, abs=0.04)
    assert paired_permutation_p_value(base, base) is None
    assert paired_permutation_p_value(base, np.full((4, 2), NAN)) is None
    assert paired_permutation_p_value(base[:1], tuned[:1]) is None
    steady = np.repeat(np.arange(10)[:, None] < 8, 3, axis=1).astype(float)
    found = paired_permutation_p_value(np.zeros((10, 3)), steady)
    assert found == pytest.approx(2 / 2**8, abs=0.008)
    assert found == paired_permutation_p_value(np.zeros((10, 1)), steady)


def test_nothing_is_claimed_of_few_repeats_and_it_is_said_why() -> None:
    findings = findings_of(compared())
    assert Verdict.SHOWN not in {f.verdict for f in findings}
    text = " ".join(f.sentence for f in findings)
    assert "cannot give less than p = 0.1;" in text and "2 of 60 answers" in text
    assert "nan" not in text.lower().split() and "None" not in text


def test_without_any_description_nothing_is_compared() -> None:
    empty = dict.fromkeys(BASE, [CANNOT_TELL] * 3)
    change = compared(empty, empty)
    assert change.words.is_empty() and change.clear.is_empty()
    assert all(row.base.mean is None and row.difference is None for row in change.scenarios)
    assert [f.verdict for f in findings_of(change)] == [Verdict.CANNOT_TELL] * 3 + [Verdict.NOT_TESTED]
    json.dumps(change.to_dict(), allow_nan=False)


@pytest.mark.parametrize("steady", [False, True])
def test_without_a_difference_claims_are_as_rare_as_the_tests_say(steady: bool) -> None:
    """Also of an annotator that marks other concepts otherwise, but the same ones nearly always alike."""
    generator, n_runs = np.random.default_rng(0), 100
    claimed, change = 0, compared()
    for _ in range(n_runs):
        base, tuned = (random_marks(name, 12, 5, 0.4, generator, steady) for name in "ab")
        asked = table_question(category_table(base, tuned, "scenario", SCENARIOS), change)
        claimed += any(map(is_shown, holm(asked.p_values)))
    assert claimed <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_components_that_are_not_beyond_chance_are_counted_among_those_annotated() -> None:
    beyond = {(0, 1): True, (0, 2): False, (1, 1): None, (1, 2): True, (1, 3): False}  # rank 3 was not annotated
    known = pl.Series("beyond_chance", list(beyond.values()), dtype=pl.Boolean)
    base = make_components(dict.fromkeys(beyond, 0.5)).with_columns(known)
    unknown = base.with_columns(beyond_chance=pl.lit(None, pl.Boolean))
    change = compared(components={"base": base, "tuned": unknown})
    assert (change.n_within_chance_base, change.n_within_chance_tuned) == (1, None)
    assert compared().n_within_chance_base is None


def test_the_measure_is_the_difference_of_the_share_interpreted() -> None:
    change = compared()
    (measure,) = measures(change)
    assert (measure.name, measure.value) == ("interpreted_change", change.interpreted.difference)
    assert measure.interval == change.interpreted.difference_interval and measure.value is not None
    assert f"{100 * measure.value:+.1f}%" in measure.phrase.format(value=measure.value)


def test_how_annotations_were_made_goes_with_them() -> None:
    about = {"annotator": {"name": "words", "weak": True}, "settings": {"repeats": 1}, "counts": {"requests": 0}}
    change = compared(about=about)
    assert (change.annotator, change.is_weak) == ("words", True)
    assert change.settings == {"annotator": about["annotator"], "repeats": 1, "counts": about["counts"]}
    assert not compared().is_weak and compared().settings == {}


def test_to_dict_is_plain_data_with_every_table() -> None:
    found = compared().to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [row["category"] for row in found["scenarios"]] == list(SCENARIOS)
    assert {row["layers"] for row in found["words"]} == {"0-1", "all"} and len(found["clear"]) == 3


def test_annotations_that_cannot_be_compared_are_refused() -> None:
    good, twice = make_annotations(), make_annotations().head(1)
    cases: list[tuple[pl.DataFrame, str]] = [
        (good.drop("level"), "lack level"),
        (good.with_columns(pl.col("rank").cast(pl.String)), "lack rank"),
        (good.filter(role="base"), "are of base, a comparison needs base and tuned"),
        (good.clear(), "are of no model"),
        (good.with_columns(role=pl.lit("model")), "are of model"),
        (pl.concat([good, twice]), "2 annotations are of the same component"),
        (good.with_columns(level=pl.lit("grammar")), "'grammar' are not known. Allowed: phonology"),
        (good.with_columns(scenarios=pl.lit(["cooking"])), "'cooking' are not known. Allowed: writing"),
        (good.with_columns(layer=pl.lit(7, pl.Int16)), "Layers [7] were annotated"),
        (good.with_columns(rank=pl.lit(None, pl.Int32)), "without rank"),
        (good.filter((pl.col("role") == "base") == (pl.col("layer") == 0)), "None of the 4 annotated places"),
    ]
    for annotations, message in cases:
        with pytest.raises(RunError) as refused:
            compare_annotations(annotations, "Llama", "Vicuna", (0, 1))
        assert message in str(refused.value)


def test_other_arguments_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(RunError, match="0 groups of layers"):
        compared(n_groups=0)
    with pytest.raises(RunError, match="Both models are called 'x'"):
        compare_annotations(make_annotations(), "x", "x", (0, 1))
    with pytest.raises(RunError, match="components of tuned lack"):
        compared(components={"base": make_components({(0, 1): 0.1})})
    with pytest.raises(RunError, match=r"'5-9' is no group of layers\. Ask for one of 0-1, all"):
        compared().risen_words("5-9")
    with pytest.raises(RunError, match="'GPT' was not compared"):
        compared().clearest("GPT")
