"""Rotation, figure 8 and matches of components between two readings: planted rotations and an oracle."""

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import linalg, stats

from aftertune.errors import RunError
from aftertune.explainers.concepts.change import ConceptChange, compare_concepts
from aftertune.explainers.concepts.explained_variance import figure8
from aftertune.explainers.concepts.findings import describe_concepts, measures
from aftertune.explainers.concepts.network_rotation import RotationTrend
from aftertune.explainers.concepts.principal_angles import best_matches, gaps, principal_angles, share_within
from aftertune.statistics.finding import Finding, Verdict
from concept_samples import SETTINGS, VOCABULARY, make_concepts, orthonormal, rotated

UNIT = np.eye(6)
ANGLES = (0.0, 1e-3, 0.5, 30.0, 45.0, 89.9, 90.0)


@pytest.mark.parametrize("degrees", ANGLES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_planted_angle_is_found(degrees: float, dtype: Any) -> None:
    basis = orthonormal(21, 40)
    base, outside = basis[:20], basis[20]
    tuned = rotated(base, 0, outside, degrees).astype(dtype)
    angles = principal_angles(base.astype(dtype), tuned)
    assert angles.shape == (20,) and (np.diff(angles) >= 0).all()
    assert angles[-1] == pytest.approx(degrees, abs=1e-4) and angles[:-1] == pytest.approx(np.zeros(19), abs=1e-4)
    places, found = best_matches(base.astype(dtype), tuned)
    assert places[1:].tolist() == list(range(1, 20)) and found[1:] == pytest.approx(np.zeros(19), abs=1e-4)
    if degrees < 90:
        assert places[0] == 0 and found[0] == pytest.approx(degrees, abs=1e-4)


def spaces_at(angles: Any, n: int, m: int, d_model: int) -> Any:
    """Bases (n, d_model) and (m, d_model), in no order, of spaces whose principal angles are ``angles`` and else 0."""
    basis, generator = orthonormal(d_model, d_model), np.random.default_rng(1)
    first, second, outside = basis[:n], basis[:m].copy(), basis[max(n, m) :][: len(angles)]
    radians = np.radians(angles)[:, None]
    second[: len(angles)] = np.cos(radians) * second[: len(angles)] + np.sin(radians) * outside
    mixed = [np.linalg.qr(generator.standard_normal((len(rows), len(rows))))[0] @ rows for rows in (first, second)]
    return (*mixed, np.sort([0.0] * (min(n, m) - len(angles)) + list(angles)))


@pytest.mark.parametrize(("n", "m"), [(12, 12), (12, 9), (9, 12)])
def test_small_and_large_angles_are_found_to_the_last_digits(n: int, m: int) -> None:
    first, second, expected = spaces_at([1e-6, 1e-5, 1e-3, 30, 44, 60, 89.999999, 90], n, m, 24)
    np.testing.assert_allclose(np.radians(principal_angles(first, second)), np.radians(expected), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("angles", [[1e-6, 1e-3, 5, 44], [46, 60, 89.999999, 90]])
def test_angles_are_those_that_scipy_finds(angles: list[float], dtype: Any) -> None:
    """Of spaces with angles on both sides of 45 degrees scipy 1.17 loses half of the digits: its cosines and sines
    are ordered otherwise than its choice between them.
    """
    for n, m in ((4, 4), (6, 4), (4, 6)) if min(angles) > 45 else ((7, 7), (7, 5), (5, 7)):
        first, second = (rows.astype(dtype) for rows in spaces_at(angles, n, m, 20)[:2])
        expected = linalg.subspace_angles(first.T.astype(float), second.T.astype(float))[::-1]
        np.testing.assert_allclose(np.radians(principal_angles(first, second)), expected, rtol=0, atol=1e-10)


def test_identical_directions_in_float32_did_not_rotate() -> None:
    base = orthonormal(30, 50).astype(np.float32)
    assert principal_angles(base, base).max() < 1e-9


def test_identical_directions_did_not_rotate_and_orthogonal_ones_rotated_by_90_degrees() -> None:
    base = orthonormal(10, 30)
    assert best_matches(base, base)[1].tolist() == [0.0] * 10
    assert principal_angles(base, base).max() < 1e-9
    assert principal_angles(UNIT[:2], UNIT[2:5]) == pytest.approx([90, 90])
    assert best_matches(UNIT[:2], UNIT[2:5])[1] == pytest.approx([90, 90])


def test_a_rotation_within_the_space_rotates_components_but_not_the_space() -> None:
    tuned = rotated(rotated(UNIT[:3], 0, UNIT[1], 20), 1, UNIT[0], -20)
    assert principal_angles(UNIT[:3], tuned) == pytest.approx([0, 0, 0], abs=1e-9)
    assert best_matches(UNIT[:3], tuned)[1] == pytest.approx([20, 20, 0])


def test_the_opposite_direction_is_the_same_component() -> None:
    places, angles = best_matches(UNIT[:3], -UNIT[[1, 0, 2]])
    assert places.tolist() == [1, 0, 2] and angles.tolist() == [0.0, 0.0, 0.0]


def test_variance_within_a_space_is_weighted() -> None:
    tuned = rotated(UNIT[:2], 1, UNIT[3], 60)
    assert share_within(tuned, np.array([3.0, 1.0]), UNIT[:2]) == pytest.approx((3 + 0.25) / 4)
    assert share_within(tuned, np.array([0.0, 0.0]), UNIT[:2]) is None


def test_random_spaces_keep_the_share_that_the_yardstick_says() -> None:
    kept = [share_within(orthonormal(30, 120, seed), np.ones(30), np.eye(120)[:30]) or 0.0 for seed in range(20)]
    assert np.mean(kept) == pytest.approx(30 / 120, abs=0.01)


def test_the_yardstick_is_the_mean_over_networks() -> None:
    """An expert with few neurons has fewer components: 4 and 2 of 6 dimensions are a half, not two thirds."""
    base = make_concepts("old", {(0, 0): UNIT[:4], (0, 1): UNIT[:2]})
    tuned = make_concepts("new", {(0, 0): UNIT[:4], (0, 1): rotated(UNIT[:2], 1, UNIT[3], 20)})
    assert by_kind(compare_concepts(base, tuned))["concepts.rotation"].evidence["variance_kept_by_chance"] == 0.5


def test_gaps_are_to_the_nearest_variance() -> None:
    assert gaps(np.array([10.0, 8.0, 7.9, 4.0])) == pytest.approx([0.2, 0.1 / 8, 0.1 / 7.9, 3.9 / 4])
    assert np.isnan(gaps(np.array([1.0]))).all()
    assert gaps(np.array([2.0, 0.0]))[0] == 1 and np.isnan(gaps(np.array([2.0, 0.0]))[1])


def test_a_change_rotates_a_component_no_further_than_its_gap_allows() -> None:
    generator = np.random.default_rng(3)
    basis = orthonormal(12, 12)
    variances = np.array([10, 9.9, 7, 6.99, 5, 4, 3.5, 3.4, 2, 1.5, 1, 0.5])
    noise = generator.standard_normal((12, 12)) * 0.01
    change = noise + noise.T
    _, vectors = np.linalg.eigh((basis.T * variances) @ basis + change)
    overlap = np.abs((basis * vectors[:, ::-1].T).sum(axis=1))
    sines = np.sqrt(1 - np.minimum(overlap, 1) ** 2)
    limits = 2 * np.linalg.norm(change, 2) / (gaps(variances) * variances)
    assert (sines <= limits).all() and sines[3] > 10 * sines[4]


BASE_WORDS = {(0, 0): [["Tree", "tree", "stone"], ["river", "write"], ["Run", "walk"]]}
TUNED_WORDS = {(0, 0): [["river", "Write"], ["stone", "TREE", "seven"], ["tell"]]}
SPECTRUM = {(0, 0): [4.0, 2.0, 1.99, 1.01, 0.0, 0.0]}
TUNED_SPECTRUM = {(0, 0): [5.0, 3.0, 1.0, 1.0, 0.0, 0.0]}


def swapped(degrees: float = 30.0, **known: Any) -> ConceptChange:
    """Components 1 and 2 change places, the one also its sign; the third rotates out of the space."""
    tuned = rotated(np.stack([UNIT[1], -UNIT[0], UNIT[2]]), 2, UNIT[4], degrees)
    return compare_concepts(
        make_concepts("old", {(0, 0): UNIT[:3]}, SPECTRUM, BASE_WORDS),
        make_concepts("new", {(0, 0): tuned}, TUNED_SPECTRUM, TUNED_WORDS),
        **known,
    )


def test_each_component_stands_beside_its_best_match() -> None:
    frame = swapped().components
    assert frame.columns == [
        *("layer", "expert", "rank", "match_rank", "angle", "gap", "variance_share_base", "variance_share_tuned"),
        *("words_kept", "words_base", "words_tuned", "words_gained", "words_lost"),
        *("p_chance_base", "p_chance_tuned", "beyond_chance_base", "beyond_chance_tuned"),
    ]
    assert frame.select("layer", "expert", "rank", "match_rank").rows() == [(0, 0, 1, 2), (0, 0, 2, 1), (0, 0, 3, 3)]
    assert frame["angle"].to_list() == pytest.approx([0, 0, 30])
    assert frame["gap"].to_list() == pytest.approx([0.5, 0.005, 0.01 / 1.99])
    assert frame["variance_share_base"].to_list() == pytest.approx([4 / 9, 2 / 9, 1.99 / 9])
    assert frame["variance_share_tuned"].to_list() == pytest.approx([0.3, 0.5, 0.1])


def test_words_are_kept_gained_and_lost_however_they_are_capitalised() -> None:
    frame = swapped().components
    assert frame["words_kept"].to_list() == [1.0, 1.0, 0.0]
    assert frame["words_gained"].to_list() == [["seven"], [], ["tell"]]
    assert frame["words_lost"].to_list() == [[], [], ["Run", "walk"]]
    assert frame["words_base"][0].to_list() == ["Tree", "tree", "stone"]
    assert frame["words_tuned"][0].to_list() == ["stone", "TREE", "seven"]
    mirror = swapped().tuned_components
    assert mirror["words_kept"].to_list() == pytest.approx([1, 2 / 3, 0])
    assert mirror["words_gained"].to_list() == [[], ["seven"], ["tell"]]
    assert mirror["words_base"][1].to_list() == ["Tree", "tree", "stone"]


def test_words_that_differ_in_capitals_count_once() -> None:
    base = make_concepts("old", {(0, 0): UNIT[:2]}, words={(0, 0): [["Tree", "tree", "stone"], []]})
    tuned = make_concepts("new", {(0, 0): UNIT[:2]}, words={(0, 0): [["stone", "river"], ["run"]]})
    assert compare_concepts(base, tuned).components["words_kept"].to_list() == [1 / 2, None]


def test_a_network_says_how_far_it_rotated_and_what_it_keeps() -> None:
    (row,) = swapped().networks.to_dicts()
    assert (row["layer"], row["expert"], row["n_separated"]) == (0, 0, 1)
    assert row["mean_principal_angle"] == pytest.approx(10) and row["largest_principal_angle"] == pytest.approx(30)
    assert row["mean_component_angle"] == pytest.approx(10) and row["mean_separated_angle"] == pytest.approx(0)
    assert row["kept_in_order"] == pytest.approx(1 / 3) and row["words_kept"] == pytest.approx(2 / 3)
    cosine = np.cos(np.deg2rad(30)) ** 2
    assert row["variance_kept"] == pytest.approx((5 + 3 + cosine) / 9)
    assert row["variance_lost"] == pytest.approx(1 - (4 + 2 + 1.99 * cosine) / 7.99)
    assert row["share_base"] == pytest.approx(7.99 / 9) and row["share_tuned"] == pytest.approx(0.9)


def test_new_components_are_no_best_match() -> None:
    base = make_concepts("old", {(0, 0): np.stack([UNIT[0], UNIT[1]]), (1, 0): UNIT[:2]})
    diagonal = np.stack([(UNIT[0] + UNIT[1]) / np.sqrt(2), UNIT[3]])
    change = compare_concepts(base, make_concepts("new", {(0, 0): diagonal, (1, 0): UNIT[:2]}))
    assert change.components["match_rank"].to_list() == [1, 1, 1, 2]
    assert change.new_components().select("layer", "rank", "angle").rows() == [(0, 2, pytest.approx(90))]
    assert change.lost_components().select("layer", "rank", "match_rank").rows() == [(0, 2, 1)]
    assert swapped().new_components().height == swapped().lost_components().height == 0


def by_layer(degrees: list[float], outside: int = 4, **known: Any) -> ConceptChange:
    """The second of three components rotates by so much in each layer; ``outside`` is the axis that it rotates to."""
    base = {(layer, 0): UNIT[:3] for layer in range(len(degrees))}
    tuned = {(layer, 0): rotated(UNIT[:3], 1, UNIT[outside], angle) for layer, angle in enumerate(degrees)}
    settings = {"n_groups": 2, **known}
    return compare_concepts(make_concepts("old", base), make_concepts("new", tuned), **settings)


def test_rotation_averages_networks_in_groups_of_layers() -> None:
    rows = by_layer([3.0, 9.0, 30.0, 6.0]).rotation
    assert [(row.layers, row.pooled) for row in rows] == [("0-1", False), ("2-3", False), ("all", True)]
    assert [row.component_angle.mean for row in rows] == pytest.approx([2, 6, 4])
    assert rows[2].component_angle.std == pytest.approx(np.std([1, 3, 10, 2]))
    assert [row.subspace_angle.mean for row in rows] == pytest.approx([2, 6, 4])
    assert [row.largest_angle.mean for row in rows] == pytest.approx([6, 18, 12])
    assert rows[0].component_angle_interval == pytest.approx((1, 3))
    assert rows[0].words_kept_interval == (1.0, 1.0) and rows[2].kept_in_order.mean == 1
    assert (rows[2].component_angle.n, rows[2].n_separated, rows[2].separated_angle.n) == (4, 12, 4)
    weights, kept = np.array([1, 1 / 2, 1 / 3]), np.cos(np.deg2rad([3, 9])) ** 2
    assert rows[0].variance_kept.mean == pytest.approx(
        ((weights.sum() - weights[1] * (1 - kept)) / weights.sum()).mean()
    )


def test_experts_are_networks_of_their_own() -> None:
    base = {(0, 0): UNIT[:2], (0, 1): UNIT[2:4], (2, 0): UNIT[:2]}
    tuned = base | {(0, 1): UNIT[[3, 2]]}
    change = compare_concepts(make_concepts("old", base), make_concepts("new", tuned))
    assert change.networks.select("layer", "expert", "kept_in_order").rows() == [(0, 0, 1.0), (0, 1, 0.0), (2, 0, 1.0)]
    assert (change.n_networks, change.layers, change.rotation[0].component_angle.n) == (3, (0, 2), 2)


def test_only_well_separated_components_count_as_such() -> None:
    spectra = {(0, 0): [4.0, 3.961, 3.0, 2.968], (1, 0): [1.0, 1.0, 1.0, 0.999]}
    base = {(layer, 0): UNIT[:3] for layer in (0, 1)}
    tuned = {(layer, 0): rotated(UNIT[:3], 2, UNIT[4], 40) for layer in (0, 1)}
    change = compare_concepts(make_concepts("old", base, spectra), make_concepts("new", tuned, spectra), n_groups=1)
    assert change.networks["mean_separated_angle"].to_list() == [pytest.approx(40), None]
    row = change.rotation[-1]
    assert (row.n_separated, row.separated_angle.n) == (1, 1) and row.separated_angle.mean == pytest.approx(40)
    assert row.component_angle.mean == pytest.approx(40 / 3)


def test_figure8_accumulates_shares_of_variance() -> None:
    rows = figure8({"old": {(0, 0): np.array([3.0, 1.0]), (1, 0): np.array([2.0, 1.0, 1.0])}}, 2)
    assert [(row.model, row.rank, row.accumulated.n) for row in rows] == [("old", 1, 2), ("old", 2, 2), ("old", 3, 2)]
    assert [row.accumulated.mean for row in rows] == pytest.approx([0.625, 0.875, 1])
    assert [row.accumulated.std for row in rows] == pytest.approx([0.125, 0.125, 0])
    assert figure8({"old": {(0, 0): np.zeros(3)}}, 2) == ()


def test_figure8_shows_some_of_many_ranks() -> None:
    flat = {"old": {(0, 0): np.ones(4096)}, "new": {(0, 0): np.ones(4096)}}
    rows = [row for row in figure8(flat, 300) if row.model == "new"]
    assert len(rows) <= 200 and {1, 300, 4096} <= {row.rank for row in rows}
    assert [row.accumulated.mean for row in rows] == pytest.approx([row.rank / 4096 for row in rows])
    assert len(figure8({"old": {(0, 0): np.ones(200)}}, 300)) == 200


def test_depth_is_tested_by_permuting_layers() -> None:
    angles = [1.0, 4.0, 2.0, 8.0, 16.0]
    trend = by_layer(angles).trend
    assert (trend.n_layers, trend.n_networks) == (5, 5)
    assert trend.correlation == pytest.approx(stats.spearmanr(range(5), angles).statistic)
    as_far = [
        abs(stats.spearmanr(order, angles).statistic) >= trend.correlation - 1e-9 for order in permutations(range(5))
    ]
    assert trend.p_value == pytest.approx(np.mean(as_far))
    assert (trend.subspace_correlation, trend.subspace_p_value) == (trend.correlation, trend.p_value)
    assert by_layer([1.0, 2.0]).trend == RotationTrend(2, 2, None, None, None, None)


def test_spaces_that_did_not_rotate_have_no_trend() -> None:
    base = {(layer, 0): orthonormal(4, 9, layer) for layer in range(5)}
    tuned = {
        (layer, 0): rotated(rotated(rows, 0, rows[1], 4.0 * layer), 1, rows[0], -4.0 * layer)
        for (layer, _), rows in base.items()
    }
    trend = compare_concepts(make_concepts("old", base), make_concepts("new", tuned)).trend
    assert trend.correlation == pytest.approx(1) and trend.p_value == pytest.approx(2 / 120)
    assert (trend.subspace_correlation, trend.subspace_p_value) == (None, None)


def test_angles_in_float32_are_those_in_float64() -> None:
    base = orthonormal(30, 64)
    tuned = np.linalg.qr((base + 0.01 * orthonormal(30, 64, 1)).T)[0].T
    pairs = [
        compare_concepts(
            *(make_concepts(name, {(0, 0): rows}, dtype=dtype) for name, rows in (("a", base), ("b", tuned)))
        )
        for dtype in (np.float64, np.float32)
    ]
    double, single = (change.components["angle"].to_numpy() for change in pairs)
    assert single == pytest.approx(double, abs=1e-4) and double.max() < 5


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"directions": {(0, 0): UNIT[:2]}}, r"layers is \(0, 1\) against \(0,\)"),
        ({"directions": {(0, 0): np.eye(7)[:2], (1, 0): np.eye(7)[:2]}}, "d_model is 6 against 7"),
        ({"vocabulary": [*VOCABULARY, "more"]}, r"the words differ \(8 against 9\)"),
        ({"settings": {**SETTINGS, "n_components": 200}}, "n_components is 300 against 200"),
        (
            {"directions": {(0, 0): UNIT[:2], (1, 0): UNIT[:2], (1, 1): UNIT[:2]}},
            r"the components that were read are not of the same networks \(4 of 2 networks against 6 of 3 networks\)",
        ),
    ],
)
def test_readings_that_were_not_made_alike_are_refused(other: dict[str, Any], text: str) -> None:
    directions = {(0, 0): UNIT[:2], (1, 0): UNIT[:2]}
    with pytest.raises(RunError, match=f"not read alike: {text}"):
        compare_concepts(make_concepts("old", directions), make_concepts("new", **{"directions": directions, **other}))


def test_one_model_and_no_groups_are_refused() -> None:
    reading = make_concepts("old", {(0, 0): UNIT[:2]})
    with pytest.raises(RunError, match="Both readings are of the model 'old'"):
        compare_concepts(reading, reading)
    with pytest.raises(RunError, match="0 groups of layers"):
        swapped(n_groups=0)


def test_the_change_is_plain_json() -> None:
    change = swapped()
    data = change.to_dict()
    assert data == json.loads(json.dumps(data, allow_nan=False))
    assert (data["n_components"], data["n_words"], data["d_model"], data["layers"]) == (3, 8, 6, [0])
    assert data["rotation"][-1]["component_angle"]["mean"] == pytest.approx(10)
    assert data["networks"][0]["words_kept"] == pytest.approx(2 / 3) and data["trend"]["n_networks"] == 1
    assert data["figure8"][0] == {
        **{"model": "old", "rank": 1, "accumulated": {"n": 1, "mean": pytest.approx(4 / 9), "std": 0.0}}
    }
    assert data["settings"] == SETTINGS and not {"components", "tuned_components"} & set(data)


def test_the_numbers_come_from_the_seed() -> None:
    angles = [3.0, 9.0, 30.0, 6.0, 7.0, 40.0, 11.0, 2.0, 31.0, 8.0]
    assert by_layer(angles).to_dict() == by_layer(angles).to_dict() != by_layer(angles, seed=1).to_dict()


def test_a_network_without_variance_is_not_defined() -> None:
    nothing = {(0, 0): [0.0, 0.0]}
    base, tuned = (make_concepts(name, {(0, 0): UNIT[:2]}, nothing) for name in ("old", "new"))
    change = compare_concepts(base, tuned)
    (row,) = change.networks.to_dicts()
    assert (row["variance_kept"], row["variance_lost"], row["mean_separated_angle"]) == (None, None, None)
    assert change.rotation[-1].variance_kept.n == 0 and change.figure8 == ()
    describe_concepts(change)


def by_kind(change: ConceptChange) -> dict[str, Finding]:
    return {found.kind: found for found in describe_concepts(change)}


def test_identical_readings_did_not_change() -> None:
    change = by_layer([0.0] * 4)
    (found,) = describe_concepts(change)
    assert change.is_unchanged and found.kind == "concepts.rotation" and found.verdict == Verdict.NOT_TESTED
    assert found.evidence == {"is_unchanged": True, "n_networks": 4, "n_components": 12}


@pytest.mark.parametrize(
    "other",
    [
        {"directions": {(0, 0): rotated(UNIT[:2], 1, UNIT[3], 0.01)}},
        {"directions": {(0, 0): UNIT[[1, 0]]}},
        {"variances": {(0, 0): [2.0, 1.01]}},
        {"words": {(0, 0): [["Tree", "stone"], ["river", "tell"]]}},
    ],
)
def test_any_difference_is_a_change(other: dict[str, Any]) -> None:
    known = {"directions": {(0, 0): UNIT[:2]}, "variances": {(0, 0): [2.0, 1.0]}}
    assert not compare_concepts(make_concepts("old", **known), make_concepts("new", **{**known, **other})).is_unchanged
    assert compare_concepts(make_concepts("old", **known), make_concepts("new", **known)).is_unchanged


def test_findings_describe_how_far_spaces_and_components_rotated() -> None:
    found = by_kind(swapped())
    assert list(found) == ["concepts.rotation", "concepts.components", "concepts.words"]
    assert {one.verdict for one in found.values()} == {Verdict.NOT_TESTED}
    rotation, components, words = (one.evidence for one in found.values())
    assert (rotation["subspace_angle"], rotation["largest_angle"]) == pytest.approx((10, 30))
    assert rotation["variance_kept"] == pytest.approx((5 + 3 + np.cos(np.deg2rad(30)) ** 2) / 9)
    assert rotation["variance_kept_by_chance"] == 0.5 and rotation["is_unchanged"] is False
    assert (components["component_angle"], components["kept_in_order"]) == pytest.approx((10, 1 / 3))
    assert (components["n_separated"], components["n_components"]) == (1, 3)
    assert components["separated_angle"] == pytest.approx(0, abs=1e-9)
    expected = {"words_kept": pytest.approx(2 / 3), "words_kept_noise": None, "words_kept_interval": None}
    assert words == expected | {"n_new": 0, "n_tuned": 3}
    for one in found.values():
        assert "  " not in one.sentence and "By layers" not in one.sentence
        assert all(value is None or isinstance(value, int | float) for value in one.evidence.values())
    assert "rotated by 10.0° and keep 97.2% of the variance" in found["concepts.rotation"].headline


def test_findings_tell_groups_of_layers_and_intervals() -> None:
    found = by_kind(by_layer([3.0, 9.0, 30.0, 6.0]))
    assert "2.0° (0-1), 6.0° (2-3)" in found["concepts.rotation"].sentence
    assert "2.0° (0-1), 6.0° (2-3)" in found["concepts.components"].sentence
    assert "4.0° [" in found["concepts.components"].sentence
    assert "100.0% (0-1), 100.0% (2-3)" in found["concepts.words"].sentence
    assert found["concepts.words"].evidence["words_kept_interval"] == (1.0, 1.0)


def test_the_networks_that_rotated_most_can_be_opened() -> None:
    links = by_kind(by_layer([3.0, 9.0, 30.0, 6.0]))["concepts.rotation"].links
    assert [(link.text, link.address) for link in links] == [
        *(("Layer 2", "concept-0-2"), ("Layer 1", "concept-0-1"), ("Layer 3", "concept-0-3")),
    ]
    base = {(0, 0): UNIT[:2], (0, 1): UNIT[2:4]}
    tuned = base | {(0, 1): rotated(UNIT[2:4], 0, UNIT[5], 20)}
    change = compare_concepts(make_concepts("old", base), make_concepts("new", tuned))
    assert by_kind(change)["concepts.rotation"].links[0].text == "Layer 0, expert 1"


def test_components_that_fill_the_space_are_said_to() -> None:
    base, tuned = (make_concepts(name, {(0, 0): rows}) for name, rows in (("old", UNIT), ("new", UNIT[::-1])))
    found = by_kind(compare_concepts(base, tuned))["concepts.rotation"]
    assert found.evidence["variance_kept_by_chance"] == 1 and "span all of the model's space" in found.sentence


def test_without_well_separated_components_nothing_is_said_of_them() -> None:
    flat = {(0, 0): [1.0, 1.0, 1.0, 1.0]}
    tuned = rotated(UNIT[:3], 0, UNIT[4], 5)
    change = compare_concepts(
        make_concepts("old", {(0, 0): UNIT[:3]}, flat), make_concepts("new", {(0, 0): tuned}, flat)
    )
    found = by_kind(change)["concepts.components"]
    assert found.evidence["component_angle"] == pytest.approx(5 / 3) and "well separated" not in found.headline
    assert (found.evidence["n_separated"], found.evidence["separated_angle"]) == (0, None)
    assert measures(change)[1].value is None


def test_a_trend_with_depth_is_described_beside_noise_and_not_claimed() -> None:
    change = by_layer([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    found = by_kind(replace(change, trend_noise=replace(change.trend, correlation=0.8)))["concepts.depth"]
    assert found.verdict is Verdict.NOT_TESTED and "p_value_corrected" not in found.evidence
    assert found.evidence["correlation"] == pytest.approx(1) and found.evidence["correlation_noise"] == 0.8
    assert found.headline.endswith("rotation +1.00, with noise of the same size +0.80")
    assert "concepts.depth" not in by_kind(by_layer([1.0, 2.0]))


def test_noise_of_the_same_size_stands_beside_every_number_of_rotation() -> None:
    base = {(layer, 0): UNIT[:3] for layer in range(2)}
    tuned, noise = (
        make_concepts(name, {place: rotated(rows, 0, UNIT[4], angle) for place, rows in base.items()})
        for name, angle in (("new", 6.0), ("noise", 12.0))
    )
    change = compare_concepts(make_concepts("old", base), tuned, noise=[noise, noise], n_groups=1)
    assert change.n_noise == 2 and change.rotation_of_all.component_angle.mean == pytest.approx(2)
    assert change.rotation_of_noise is not None and change.rotation_of_noise.is_noise
    assert change.rotation_of_noise.component_angle.mean == pytest.approx(4)
    found = by_kind(change)
    assert found["concepts.rotation"].evidence["subspace_angle_noise"] == pytest.approx(4)
    assert found["concepts.components"].evidence["component_angle_noise"] == pytest.approx(4)
    assert found["concepts.words"].evidence["words_kept_noise"] == 1.0
    assert [one.control for one in measures(change)] == pytest.approx([4, 4, 1])
    rotation = change.tables()["rotation"]
    assert rotation["is_noise"].to_list() == [False, False, True, True]
    assert change.to_dict()["rotation_noise"][0]["component_angle"]["mean"] == pytest.approx(4)


def test_measures_are_those_of_all_layers() -> None:
    space, separated, words = measures(by_layer([3.0, 9.0, 30.0, 6.0]))
    assert (space.name, separated.name, words.name) == ("subspace_angle", "separated_angle", "words_kept")
    assert (space.value, separated.value, words.value) == pytest.approx((4, 4, 1))
    assert separated.phrase.format(value=separated.value) == "well separated components rotated by 4.00°"
    assert words.interval == (1.0, 1.0) and space.control is None


def test_all_components_of_both_models_come_with_the_change() -> None:
    change = swapped()
    for frame, words in ((change.components_base, BASE_WORDS), (change.components_tuned, TUNED_WORDS)):
        assert frame.columns == [
            *("layer", "expert", "rank", "variance_share", "words", "cosines", "p_chance", "beyond_chance"),
        ]
        assert frame["words"].to_list() == words[0, 0] and frame["beyond_chance"].null_count() == 3
    assert change.settings == SETTINGS


def test_the_data_frames_are_those_of_the_tables() -> None:
    frames = by_layer([3.0, 9.0, 30.0, 6.0]).tables()
    assert list(frames) == [
        *("components", "tuned_components", "concept_written", "concept_read"),
        *("rotation", "chance", "unmatched", "figure8", "networks"),
    ]
    assert frames["rotation"]["component_angle_mean"].to_list() == pytest.approx([2, 6, 4])
    assert (frames["chance"].height, frames["unmatched"].height, frames["networks"].height) == (0, 0, 4)
    assert "n_beyond" in frames["chance"].columns and "words" in frames["unmatched"].columns
