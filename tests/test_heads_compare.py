"""Figure 2 and table 3: how far heads' word pairs lie apart, by hand and with controls."""

import json
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from aftertune.errors import RunError, WordError
from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.compare import compare_heads
from aftertune.explainers.heads.findings import questions
from aftertune.explainers.heads.result import HeadReading
from aftertune.explainers.heads.table3 import N_SETS, matched_sets, word_shares
from aftertune.explainers.heads.verbs import INSTRUCTION_VERBS
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.layers import layer_groups
from aftertune.statistics.questions import answer
from head_samples import WORDS, drawn_reading, make_reading

ASKED, GENERAL = ("write", "make", "tell"), ("run", "walk", "tree", "stone", "river")
BASE_PAIRS = {
    (0, 0): [("write", "tree"), ("make", "stone")],
    (0, 1): [("tree", "stone")],
    (1, 0): [("run", "walk")],
}
TUNED_PAIRS = {
    (0, 0): [("write", "stone"), ("write", "tree"), ("run", "tell")],
    (0, 1): [("tree", "stone")],
}
BASE_NEURONS = {(0, 0, 0): [("write", "tree"), ("Tell", "river")], (0, 0, 2): [("run", "walk")]}
TUNED_NEURONS = {(0, 0, 0): [("write", "tree"), ("write", "river"), ("tree", "write")], (1, 1, 1): [("run", "tree")]}


def pair_of_readings() -> tuple[HeadReading, HeadReading]:
    return make_reading("base", BASE_PAIRS, BASE_NEURONS), make_reading("tuned", TUNED_PAIRS, TUNED_NEURONS)


def changed(**known: Any) -> HeadChange:
    return compare_heads(*pair_of_readings(), ASKED, GENERAL, **{"n_groups": 2, **known})


def row_of(change: HeadChange, table: str, layers: str, level: str = "head", lists: str = "as read") -> Any:
    rows = [row for row in getattr(change, table) if (row.layers, row.lists) == (layers, lists)]
    (row,) = [row for row in rows if table == "table3" or row.level == level]
    return row


def told(change: HeadChange, kind: str) -> list[Finding]:
    return [finding for finding in answer(questions(change)) if finding.kind == kind]


def test_each_head_says_how_far_its_lists_lie_apart() -> None:
    heads = changed().heads.select("layer", "head", "distance", "n_base", "n_tuned", "n_gained", "n_lost").rows()
    assert heads == [
        (0, 0, 1 - 1 / 4, 2, 3, 2, 1),
        (0, 1, 0.0, 1, 1, 0, 0),
        (1, 0, 1.0, 1, 0, 0, 1),
        (1, 1, None, 0, 0, 0, 0),
    ]


def test_pairs_with_words_asked_about_are_counted_once() -> None:
    asked = changed().heads.select("verbs_gained", "verbs_lost").rows()
    assert asked == [(2, 1), (0, 0), (0, 0), (0, 0)]
    both = make_reading("tuned", {(0, 1): [("write", "make")]})
    found = compare_heads(make_reading("base", {}), both, ASKED, GENERAL).heads
    assert found["verbs_gained"].to_list() == [0, 1, 0, 0]


def test_pairs_are_kept_gained_or_lost() -> None:
    pairs = changed().pairs
    assert pairs.select("word_a", "word_b", "change", "rank_base", "rank_tuned").rows()[:4] == [
        ("write", "stone", "gained", None, 1),
        ("write", "tree", "kept", 1, 2),
        ("run", "tell", "gained", None, 3),
        ("make", "stone", "lost", 2, None),
    ]
    assert pairs["n_neurons_base"].to_list() == [None, 2, None, 2, 2, 2]
    assert pairs["n_neurons_tuned"].to_list() == [2, 2, 2, None, 2, None]


def test_neuron_pairs_compare_ordered_pairs_and_a_head_averages_them() -> None:
    change = changed()
    columns = ("layer", "head", "neuron", "distance", "n_base", "n_tuned", "n_gained", "n_lost")
    assert change.neurons.select(columns).rows() == [
        (0, 0, 0, 1 - 1 / 4, 2, 3, 2, 1),
        (0, 0, 2, 1.0, 1, 0, 0, 1),
        (1, 1, 1, 1.0, 0, 1, 1, 0),
    ]
    assert change.heads["neuron_distance"].to_list() == [(0.75 + 1.0) / 2, None, None, 1.0]


def test_one_neuron_pair_is_shown_with_its_words() -> None:
    found = changed().neuron(0, 0, 0)
    assert found.columns == ["query_word", "key_word", "change", "cosine"]
    assert found.select("query_word", "key_word", "change").rows() == [
        ("write", "tree", "kept"),
        ("write", "river", "gained"),
        ("tree", "write", "gained"),
        ("Tell", "river", "lost"),
    ]
    assert found["cosine"][0] == pytest.approx(len("write") / 8 + len("tree") / 64)
    assert changed().neuron(0, 1, 2).height == 0
    for place in ((2, 0, 0), (0, 2, 0), (0, 0, 3), (0, 0, -1)):
        with pytest.raises(RunError, match=r"was not read\. Ask for one of the layers 0, 1, heads 0 to 1, neuron"):
            changed().neuron(*place)


def test_figure2_averages_heads_in_groups_of_layers() -> None:
    change = changed()
    assert [(row.level, row.layers, row.pooled) for row in change.figure2[:3]] == [
        ("head", "0", False),
        ("head", "1", False),
        ("head", "all", True),
    ]
    assert row_of(change, "figure2", "0").distance.mean == pytest.approx(0.75 / 2)
    pooled = row_of(change, "figure2", "all").distance
    assert (pooled.n, pooled.mean) == (3, pytest.approx((0.75 + 0 + 1) / 3))
    assert pooled.std == pytest.approx(np.std([0.75, 0, 1]))
    neurons = row_of(change, "figure2", "all", "neuron pair").distance
    assert (neurons.n, neurons.mean) == (2, pytest.approx((0.875 + 1) / 2))
    assert row_of(change, "figure2", "1").interval is None and row_of(change, "figure2", "0").interval == (0.0, 0.75)


def test_controls_average_draws_and_the_excess_pairs_heads() -> None:
    lists = {("permuted", 0): {(0, 0): [("write", "tree")]}, ("permuted", 1): {(0, 0): [("write", "tree")]}}
    other = {
        ("permuted", 0): {(0, 0): [("write", "tree"), ("make", "tree")], (1, 1): [("run", "tree")]},
        ("permuted", 1): {(0, 0): [("write", "tree")]},
    }
    neurons = {("permuted", 0): {(0, 0, 0): [("write", "tree")], (0, 0, 1): [("run", "tree")]}}
    others = {("permuted", 0): {(0, 0, 0): [("write", "tree")]}, ("permuted", 1): {(0, 0, 0): [("tree", "write")]}}
    base = make_reading("base", BASE_PAIRS, BASE_NEURONS, lists, neurons)
    tuned = make_reading("tuned", TUNED_PAIRS, TUNED_NEURONS, other, others)
    change = compare_heads(base, tuned, ASKED, GENERAL)
    control = row_of(change, "figure2", "all", lists="permuted")
    # Head 0.0: draws 1/2 and 0; head 1.1, where nothing was observed: 1.
    assert control.is_control and (control.distance.n, control.distance.mean) == (2, pytest.approx((0.25 + 1) / 2))
    assert (control.excess, control.excess_interval) == (pytest.approx(0.75 - 0.25), None)
    of_neurons = row_of(change, "figure2", "all", "neuron pair", "permuted")
    assert of_neurons.distance.mean == pytest.approx(((0 + 1) / 2 + 1) / 2)
    assert of_neurons.excess == pytest.approx(0.875 - 0.75)
    nowhere = row_of(change, "figure2", "1", "neuron pair", "permuted")
    assert (nowhere.distance.mean, nowhere.excess) == (None, None)


def test_layers_fall_into_neighbouring_groups() -> None:
    assert layer_groups(range(10), 4) == {
        "0-2": (0, 1, 2),
        "3-5": (3, 4, 5),
        "6-7": (6, 7),
        "8-9": (8, 9),
        "all": tuple(range(10)),
    }
    assert list(layer_groups((3, 9), 4)) == ["3", "9", "all"]


def depth_readings(counts: tuple[int, ...]) -> tuple[HeadReading, HeadReading]:
    """Head h of layer l has gained l + h pairs, in as many heads as ``counts`` says; a control changes in none."""
    words = [f"w{n}" for n in range(20)]
    places = [(layer, head) for layer, n in enumerate(counts) for head in range(n)]
    kept = [("w0", "w1")]
    gained = {(x, y): [*kept, *[("w0", f"w{n}") for n in range(2, 2 + x + y)]] for x, y in places}
    shape: dict[str, Any] = {"layers": range(len(counts)), "n_heads": 3, "words": words, "without_vector": ()}
    control = {("permuted", 0): dict.fromkeys(places, kept)}
    base = make_reading("base", dict.fromkeys(places, kept), controls=control, **shape)
    return base, make_reading("tuned", gained, controls=control, **shape)


@pytest.mark.parametrize("counts", [(2, 2, 2, 2), (3, 1, 2, 3)])
def test_the_depth_trend_permutes_whole_layers(counts: tuple[int, ...]) -> None:
    depth = compare_heads(*depth_readings(counts), ["w0"], ["w5"]).depth
    layers = np.repeat(range(4), counts)
    distances = np.array([1 - 1 / (1 + x + y) for x, n in enumerate(counts) for y in range(n)])
    expected = stats.spearmanr(layers, distances).statistic
    permuted = [stats.spearmanr(np.array(order)[layers], distances).statistic for order in permutations(range(4))]
    tails = [np.mean([sign * one >= sign * expected - 1e-12 for one in permuted]) for sign in (1, -1)]
    assert (depth.n_layers, depth.n_heads) == (4, sum(counts))
    assert depth.correlation == pytest.approx(expected)
    assert depth.p_value == pytest.approx(min(1, 2 * min(tails)))
    (control,) = depth.controls
    assert (control.correlation, control.p_value) == (None, None)
    assert control.excess_correlation == pytest.approx(expected) and control.excess_p_value == depth.p_value


def test_no_trend_is_asked_of_two_layers() -> None:
    depth = changed().depth
    assert (depth.n_layers, depth.correlation, depth.p_value) == (2, None, None)


def test_shares_count_heads_in_which_the_number_of_pairs_changed() -> None:
    verbs = changed().verbs
    assert verbs.filter(verbs["layers"] == "all").select("verb", "kind", "n_grew", "n_shrank", "share").rows() == [
        ("write", "instruction", 1, 0, 1.0),
        ("make", "instruction", 0, 1, 0.0),
        ("tell", "instruction", 1, 0, 1.0),
        ("run", "general", 1, 1, 0.5),
        ("walk", "general", 0, 1, 0.0),
    ]
    assert verbs.filter(verbs["layers"] == "1").select("verb", "share").rows() == [("run", 0.0), ("walk", 0.0)]


def test_a_word_beside_itself_counts_once() -> None:
    base, tuned = (make_reading(name, {(0, 0): pairs}) for name, pairs in (("b", [("run", "tree")]), ("t", [])))
    doubled = make_reading("t", {(0, 0): [("run", "run")]}).pairs
    shares = word_shares(base.pairs, doubled, ("layer", "head"), {"all": (0,)})
    assert dict(shares.select("word", "share").iter_rows()) == {"tree": 0.0}
    assert tuned.pairs.height == 0


def test_table3_tests_words_against_words() -> None:
    words = [f"w{n}" for n in range(60)]
    base, tuned = drawn_reading("base", words, [1.0] * 60, 1), drawn_reading("tuned", words, [1.0] * 60, 2)
    change = compare_heads(base, tuned, words[:12], words[12:], n_groups=2)
    rows = [row for row in change.table3 if not row.is_control]
    assert [row.layers for row in rows] == ["0-3", "4-7", "all"]
    for row in rows:
        own = change.verbs.filter(change.verbs["layers"] == row.layers)
        first, second = (own.filter(own["kind"] == kind)["share"].to_numpy() for kind in ("instruction", "general"))
        welch = stats.ttest_ind(first, second, equal_var=False).pvalue
        assert (row.instruction.n, row.general.n) == (len(first), len(second))
        assert (row.instruction.mean, row.general.mean) == (pytest.approx(first.mean()), pytest.approx(second.mean()))
        assert row.instruction.std == pytest.approx(first.std())
        assert row.difference == pytest.approx(first.mean() - second.mean())
        assert row.difference_interval[0] < row.difference < row.difference_interval[1]
        assert row.p_value == pytest.approx(welch) and row.p_value_permutation == pytest.approx(welch, abs=0.05)
        assert np.sign(row.effect_size_g) == np.sign(row.difference)
    groups, pooled = rows[:2], rows[2]
    for name in ("p_value", "p_value_permutation"):
        smaller, larger = sorted(getattr(row, name) for row in groups)
        corrected = sorted(getattr(row, f"{name}_holm") for row in groups)
        assert corrected == pytest.approx([min(1, 2 * smaller), max(min(1, 2 * smaller), larger)])
        assert getattr(pooled, f"{name}_holm") is None


def test_nothing_is_tested_with_fewer_than_five_words_of_a_kind() -> None:
    words = [f"w{n}" for n in range(60)]
    base, tuned = drawn_reading("base", words, [1.0] * 60, 1), drawn_reading("tuned", words, [1.0] * 60, 2)
    for n_asked, is_tested in ((4, False), (5, True)):
        change = compare_heads(base, tuned, words[:n_asked], words[12:], n_groups=1)
        row, control = row_of(change, "table3", "all"), row_of(change, "table3", "all", lists="permuted")
        assert row.instruction.n == n_asked
        found = [row.p_value, row.p_value_permutation, row.p_value_matched, control.p_value]
        assert [p is not None for p in found] == [is_tested] * 4


def test_table3_controls_count_every_draw_of_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.heads.table3.LEAST_WORDS", 2)
    many = {
        ("permuted", 0): {(0, 0): [("write", "tree"), ("run", "stone")]},
        ("permuted", 1): {(0, 0): [("tree", "stone")]},
        ("permuted", 2): {(0, 0): [("write", "stone")]},
    }
    fewer = {("permuted", 1): {(0, 0): [("write", "stone"), ("make", "stone")]}}
    base = make_reading("base", BASE_PAIRS, controls=many)
    change = compare_heads(base, make_reading("tuned", TUNED_PAIRS, controls=fewer), ASKED, GENERAL)
    control = row_of(change, "table3", "all", lists="permuted")
    # write: shrank, grew, shrank; make: grew. run, tree (twice) shrank; stone shrank, grew, shrank.
    assert control.instruction.mean == pytest.approx((1 / 3 + 1) / 2)
    assert control.general.mean == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert control.difference == pytest.approx(control.instruction.mean - control.general.mean)
    assert control.p_value == pytest.approx(stats.ttest_ind([1 / 3, 1], [0, 0, 1 / 3], equal_var=False).pvalue)


def test_matched_words_are_as_frequent_and_not_asked_about() -> None:
    ordered, asked = [f"w{n}" for n in range(400)], ["w0", "w200", "w201", "w399"]
    sets = matched_sets(ordered, asked)
    assert sets.shape == (N_SETS, 4) and not set(sets.ravel()) & set(asked)
    near = [[int(word[1:]) for word in column] for column in sets.T]
    assert (min(near[0]), max(near[0])) == (1, 100) and (min(near[3]), max(near[3])) == (299, 398)
    assert (min(near[1]), max(near[1])) == (150, 251) == (min(near[2]), max(near[2]))
    assert (sets != matched_sets(ordered, asked, seed=1)).any()
    assert matched_sets(["w0"], ["w0"]).shape == (N_SETS, 0)


def test_the_matched_p_value_counts_sets_that_lie_as_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.heads.table3.LEAST_WORDS", 2)
    change = changed()
    row = row_of(change, "table3", "all")
    shares = {"run": 0.5, "walk": 0.0, "tree": None, "stone": None}
    sets = matched_sets(["the", "write", "make", "run", "walk", "tell", "tree", "stone", "river"], ASKED)
    # tree grew nowhere: one pair in both models; stone stayed at one pair in head 0.0.
    known = [[shares[word] for word in drawn if shares.get(word) is not None] for drawn in sets.tolist()]
    means = np.array([np.mean(one) for one in known if one])
    assert row.matched == pytest.approx(means.mean())
    as_far = sum(abs(means - 0.25) >= abs(row.difference) - 1e-9)
    assert row.p_value_matched == pytest.approx((1 + as_far) / (1 + len(means)))
    assert row.difference == pytest.approx(2 / 3 - 1 / 4)


def test_words_that_can_form_no_pair_are_counted_and_said() -> None:
    change = changed(verbs_name="my words")
    assert (change.n_words, change.n_with_vector, change.verbs_missing) == (10, 9, ())
    found = compare_heads(
        *pair_of_readings(), ["WRITE", "make", "qqq", "zzz", "make", "tell"], [*GENERAL, "write", "no"]
    )
    assert (found.verbs_present, found.verbs_missing) == (("write", "make", "tell"), ("qqq", "zzz"))
    assert found.n_general_missing == 1
    said = " ".join(finding.sentence for finding in answer(questions(found)))
    assert said.count("2 words asked about (qqq, zzz) and 1 general words") == 1
    assert (changed().verbs_name, change.verbs_name) == ("the words asked about", "my words")


def test_instruction_verbs_are_asked_about_unless_others_are_given() -> None:
    change = compare_heads(*pair_of_readings())
    assert (change.verbs_name, change.verbs_present) == ("instruction verbs", ("write", "make", "tell"))
    assert len(change.verbs_missing) == len(INSTRUCTION_VERBS) - 3
    assert set(change.verbs.filter(change.verbs["kind"] == "general")["verb"]) == {"run", "walk"}


@pytest.mark.parametrize(
    ("verbs", "general", "text"),
    [
        (["zzz", "qqq"], GENERAL, "None of the 2 asked-about words .'zzz', 'qqq'. is among the 9 words"),
        ([], GENERAL, "None of the 0 asked-about words is among"),
        (ASKED, ["a", "b", "c", "d"], "None of the 4 general words .'a', 'b', 'c', .... is among"),
    ],
)
def test_lists_of_words_that_form_no_pair_are_refused(verbs: list[str], general: list[str], text: str) -> None:
    with pytest.raises(WordError, match=text):
        compare_heads(*pair_of_readings(), verbs, general)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"layers": (0, 1, 2)}, r"layers is \(0, 1\) against \(0, 1, 2\)"),
        ({"n_heads": 4}, "n_heads is 2 against 4"),
        ({"d_head": 5}, "d_head is 3 against 5"),
        ({"words": [*WORDS, "more"]}, r"the words differ \(10 against 11\)"),
        ({"without_vector": ()}, "other words have a word vector"),
        ({"settings": {"n_top": 50, "seed": 1}}, "n_top is 100 against 50; seed is None against 1"),
    ],
)
def test_readings_that_were_not_made_alike_are_refused(other: dict[str, Any], text: str) -> None:
    with pytest.raises(RunError, match=f"not read alike: {text}. Read both with the same"):
        compare_heads(make_reading("base", BASE_PAIRS), make_reading("tuned", TUNED_PAIRS, **other))


def test_one_model_and_no_groups_are_refused() -> None:
    with pytest.raises(RunError, match="Both readings are of the model 'base'"):
        compare_heads(make_reading("base", BASE_PAIRS), make_reading("base", TUNED_PAIRS))
    with pytest.raises(RunError, match="0 groups of layers"):
        changed(n_groups=0)


def test_the_heads_that_gained_pairs_with_chosen_words_are_exactly_those() -> None:
    words = [f"w{n}" for n in range(40)]
    base = drawn_reading("base", words, [1.0] * 40, 3)
    places = {(1, 2): 1, (4, 0): 3, (7, 7): 2}
    lists = {
        (layer, head): base.pairs.filter(layer=layer, head=head).select("word_a", "word_b").rows()
        for layer in range(8)
        for head in range(8)
    }
    planted = {
        place: [*pairs, *[("verb", f"w{n}") for n in range(places.get(place, 0))]] for place, pairs in lists.items()
    }
    shape: dict[str, Any] = {"layers": range(8), "n_heads": 8, "words": [*words, "verb"], "without_vector": ()}
    change = compare_heads(
        make_reading("base", lists, **shape), make_reading("tuned", planted, **shape), ["verb"], words
    )
    gaining = change.gaining_heads().select("layer", "head", "verbs_gained").rows()
    assert gaining == [(4, 0, 3), (7, 7, 2), (1, 2, 1)]
    assert change.gaining_heads(2).height == 2 and change.gaining_heads(4).height == 0


def test_the_change_is_plain_json() -> None:
    change = changed()
    data = change.to_dict()
    assert data == json.loads(json.dumps(data, allow_nan=False))
    assert data["heads"][3]["distance"] is None and data["heads"][0]["verbs_gained"] == 2
    assert data["figure2"][2]["distance"]["n"] == 3 and data["table3"][2]["layers"] == "all"
    assert data["depth"]["n_heads"] == 3 and data["layers"] == [0, 1]
    assert not {"pairs", "neurons", "verbs"} & set(data)


def test_the_numbers_come_from_the_seed() -> None:
    assert changed().to_dict() == changed().to_dict()
    assert changed().to_dict() != changed(seed=1).to_dict()


def test_a_vocabulary_without_any_of_our_verbs_is_compared_all_the_same() -> None:
    words = [f"wort{n}" for n in range(60)]
    base, tuned = drawn_reading("base", words, [1.0] * 60, 1), drawn_reading("tuned", words, [1.0] * 60, 2)
    change = compare_heads(base, tuned)
    assert change.verbs_present == () and len(change.verbs_missing) == len(INSTRUCTION_VERBS)
    assert row_of(change, "figure2", "all").distance.n > 0
    assert {(row.instruction.n, row.p_value, row.p_value_matched) for row in change.table3} == {(0, None, None)}
    assert [finding.verdict for finding in told(change, "heads.verbs")] == [Verdict.CANNOT_TELL]
