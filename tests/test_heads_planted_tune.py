"""Pairs that are written into a model by hand and changed in a copy: every number of the comparison is known."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import aftertune
import planted_heads as planted
from aftertune.explainers.heads.change import HeadChange

Pairs = Mapping[tuple[int, int], Sequence[tuple[str, str]]]

VERBS = ("write", "explain", "list")
GENERAL = ("dog", "cat", "iron", "silver", "copper", "poem", "theory", "table")
BASE: Pairs = {
    (0, 0): [("dog", "cat"), ("iron", "gold")],
    (1, 1): [("write", "poem"), ("horse", "sheep")],
    (2, 2): [("dog", "horse")],
    (3, 1): [("cat", "sheep")],
    (3, 3): [("iron", "copper"), ("silver", "copper")],
}
ALONE = ("explain", "proof")
TUNED: Pairs = {
    (0, 0): [("write", "poem"), ("iron", "gold")],
    (1, 1): [("horse", "sheep")],
    (2, 0): [("list", "table"), ("horse", "sheep")],
    (2, 2): [("dog", "horse"), ("explain", "theory")],
    (3, 1): [("cat", "sheep")],
    (3, 3): [("silver", "copper")],
}


def model_of(name: str, pairs: Pairs) -> aftertune.Checkpoint:
    """Each pair in the first two neuron pairs of its head, the last also in the third, one that is no other's in the
    fourth: it belongs to that neuron pair only, not to the head's list.
    """
    model = planted.blank_model()
    for (layer, head), own in pairs.items():
        for neuron, planned in enumerate((own, own, own[-1:], [ALONE])):
            for query, key in planned:
                planted.plant(model, layer, head, neuron, query, key)
    return planted.checkpoint(model, name)


@pytest.fixture(scope="module")
def change() -> HeadChange:
    settings = aftertune.HeadSettings(n_top=2, n_frequent=60, n_draws=0)
    read = [
        aftertune.read_heads(model_of(name, pairs), planted.words(), planted.vectors(), settings)
        for name, pairs in (("base", BASE), ("tuned", TUNED))
    ]
    return aftertune.compare_heads(read[0], read[1], VERBS, GENERAL, n_groups=2)


def row_of(rows: Sequence[Any], **known: str) -> Any:
    (row,) = [row for row in rows if all(getattr(row, name) == value for name, value in known.items())]
    return row


def test_the_heads_that_gained_chosen_verbs_are_exactly_those_three(change: HeadChange) -> None:
    gaining = change.gaining_heads().select("layer", "head", "verbs_gained", "verbs_lost").rows()
    assert gaining == [(0, 0, 1, 0), (2, 0, 1, 0), (2, 2, 1, 0)]
    assert change.gaining_heads(2).is_empty()
    (losing,) = change.heads.filter(change.heads["verbs_lost"] > 0).select("layer", "head").rows()
    assert losing == (1, 1)


def test_every_head_kept_gained_and_lost_what_was_written(change: HeadChange) -> None:
    found = change.heads.drop_nulls("distance").select("layer", "head", "distance", "n_gained", "n_lost").rows()
    assert found == [
        (0, 0, pytest.approx(2 / 3), 1, 1),
        (1, 1, pytest.approx(1 / 2), 0, 1),
        (2, 0, 1.0, 2, 0),
        (2, 2, pytest.approx(1 / 2), 1, 0),
        (3, 1, 0.0, 0, 0),
        (3, 3, pytest.approx(1 / 2), 0, 1),
    ]
    lists = change.pairs.filter(change.pairs["layer"] == 2).select("head", "word_a", "word_b", "change").rows()
    assert sorted(lists) == [
        (0, "horse", "sheep", "gained"),
        (0, "list", "table", "gained"),
        (2, "dog", "horse", "kept"),
        (2, "explain", "theory", "gained"),
    ]


def test_figure2_by_hand(change: HeadChange) -> None:
    # Every neuron pair of head 0.0 but the last two changed; the third of head 2.2 holds another pair now.
    neurons = [(2 / 3 + 2 / 3 + 0 + 0) / 4, (1 / 2 + 1 / 2 + 0 + 0) / 4]
    deeper = [1, (1 / 2 + 1 / 2 + 1 + 0) / 4, 0, (1 / 2 + 1 / 2 + 0 + 0) / 4]
    expected = {
        "head": {"0-1": [2 / 3, 1 / 2], "2-3": [1, 1 / 2, 0, 1 / 2]},
        "neuron pair": {"0-1": neurons, "2-3": deeper},
    }
    for level, groups in expected.items():
        every = [distance for own in groups.values() for distance in own]
        for layers, distances in {**groups, "all": every}.items():
            row = row_of(change.figure2, layers=layers, level=level)
            assert row.distance.n == len(distances) and not row.is_control
            assert row.distance.mean == pytest.approx(sum(distances) / len(distances)), (level, layers)


def test_table3_by_hand(change: HeadChange) -> None:
    verbs = change.verbs.drop_nulls("share").select("layers", "verb", "n_grew", "n_shrank", "share").rows()
    shares = {layers: {row[1]: row[2:] for row in verbs if row[0] == layers} for layers in ("0-1", "2-3", "all")}
    grew, shrank, both = (1, 0, 1.0), (0, 1, 0.0), (1, 1, 0.5)
    assert shares["0-1"] == {"write": both, "dog": shrank, "cat": shrank, "poem": both}
    assert shares["2-3"] == {
        **dict.fromkeys(("explain", "list", "theory", "table"), grew),
        **dict.fromkeys(("iron", "copper"), shrank),
    }
    assert shares["all"] == shares["0-1"] | shares["2-3"]
    expected = {"0-1": (0.5, 1, 0.5 / 3, 3), "2-3": (1.0, 2, 2 / 4, 4), "all": (2.5 / 3, 3, 2.5 / 7, 7)}
    for layers, (instruction, n, general, n_general) in expected.items():
        row = row_of(change.table3, layers=layers)
        assert (row.instruction.n, row.general.n) == (n, n_general)
        assert (row.instruction.mean, row.general.mean) == (pytest.approx(instruction), pytest.approx(general))
        assert row.difference == pytest.approx(instruction - general)
    assert change.verbs_present == VERBS and change.verbs_missing == ()


def test_a_neuron_pair_shows_what_it_kept_gained_and_lost(change: HeadChange) -> None:
    columns = ("query_word", "key_word", "change")
    assert change.neuron(0, 0, 0).select(columns).rows() == [
        ("iron", "gold", "kept"),
        ("write", "poem", "gained"),
        ("dog", "cat", "lost"),
    ]
    assert change.neuron(0, 0, 2).select(columns).rows() == [("iron", "gold", "kept")]
    assert change.neuron(2, 2, 2).select(columns).rows() == [("explain", "theory", "gained"), ("dog", "horse", "lost")]
    assert change.neuron(0, 0, 3).select(columns).rows() == [(*ALONE, "kept")]
    assert change.neuron(1, 0, 0).is_empty()
