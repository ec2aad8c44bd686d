"""Noise of the size of a change, put into weights; heads beside it; and the tests of what exceeds it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

import change_samples as samples
import planted_heads
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.heads import HeadExplainer, HeadSettings
from aftertune.explainers.heads.measure import HeadWork
from aftertune.explainers.heads.noise import strength_frame, strengths
from aftertune.models.cost import Cost
from aftertune.models.loaded import Checkpoint
from aftertune.models.machine import Machine
from aftertune.models.size import size_by_config
from aftertune.models.weight_noise import WeightNoise, change_norms
from aftertune.models.weights import query_key_weights
from aftertune.runs.held import Held
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.statistics.finding import Verdict
from aftertune.statistics.noise import NOISE, layers_p_value
from aftertune.statistics.questions import answer


def pair() -> tuple[Checkpoint, Checkpoint]:
    return tuple(
        samples.checkpoint(model, name)
        for name, model in (
            ("base", samples.base()),
            ("tuned", samples.tuned(lambda model: samples.add_noise(model, 0))),
        )
    )  # type: ignore[return-value]


def test_noise_has_the_norm_of_the_change_in_every_tensor_and_is_taken_out_again() -> None:
    base, tuned = pair()
    norms, before = change_norms(base, tuned), {k: w.clone() for k, w in base.model.named_parameters()}
    assert norms is not None
    noise, again, other = (WeightNoise(base, norms, draw) for draw in (0, 0, 1))
    with noise.outside_layers(), noise.in_layer(2):
        drawn = {name: (weight - before[name]).norm().item() for name, weight in base.model.named_parameters()}
        kept = base.model.model.layers[2].mlp.up_proj.weight.clone()
    for name, norm in drawn.items():
        is_in = ".layers." not in name or ".layers.2." in name
        assert norm == pytest.approx(norms[name] if is_in else 0.0, rel=1e-4)
    assert all(torch.equal(weight, before[name]) for name, weight in base.model.named_parameters())
    weight = base.model.model.layers[2].mlp.up_proj.weight
    with again.in_layer(2):
        assert torch.equal(weight, kept)
    with pytest.raises(ValueError, match="stopped"), other.in_layer(2):
        assert not torch.equal(weight, kept)
        raise ValueError("stopped")
    assert torch.equal(weight, before["model.layers.2.mlp.up_proj.weight"])


def test_strengths_are_products_of_queries_and_keys() -> None:
    base, _ = pair()
    query, key = query_key_weights(base, 3)
    words = torch.nn.functional.normalize(torch.randn(6, samples.D_MODEL, generator=torch.manual_seed(0)), dim=1)
    heads, places = np.array([0, 3, 3]), [np.array([0, 1, 2]), np.array([3, 4, 5])]
    found = strengths(query, key, words, heads, places)
    for row, (head, a, b) in enumerate(zip(heads, *places, strict=True)):
        product = query[head].double().T @ key[head // 2].double()
        for order, (first, second) in enumerate(((a, b), (b, a))):
            expected = float(words[first].double() @ product @ words[second].double())
            assert found[row, order] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_the_order_that_changed_more_is_kept_and_the_scale_is_that_of_the_head() -> None:
    pairs = pl.DataFrame({"head": [0, 0, 1], "word_a": ["a", "b", "c"], "word_b": ["x", "y", "z"]})
    base, tuned = np.zeros((3, 2)), np.array([[1.0, -2.0], [3.0, 1.0], [0.5, 0.0]])
    noise = np.array([[1.0, 1.0], [2.0, 0.0], [0.1, 0.2]])
    found = strength_frame(4, pairs, base, tuned, noise)
    assert found["is_turned"].to_list() == [True, False, False] and found["tuned"].to_list() == [-2.0, 3.0, 0.5]
    assert found["noise"].to_list() == [1.0, 2.0, 0.1]
    assert found["scale"].to_list() == pytest.approx([1.5**0.5, 1.5**0.5, 0.025**0.5])


def test_whole_layers_change_their_sign() -> None:
    excess = pl.DataFrame({"layer": np.repeat(range(8), 4), "excess": np.repeat([1.0] * 8, 4)})
    assert layers_p_value(excess) == pytest.approx(2 / 2**8)  # not of 32 heads
    assert layers_p_value(excess.filter(pl.col("layer") == 0)) is None
    assert layers_p_value(excess.with_columns(excess=0.0)) is None
    rng = np.random.default_rng(0)
    shared = [
        layers_p_value(excess.with_columns(excess=pl.Series(np.repeat(rng.normal(size=8), 4)))) for _ in range(400)
    ]
    assert np.mean([p is not None and p < 0.05 for p in shared]) < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert stats.kstest([p for p in shared if p is not None], "uniform").pvalue > 0.001


PLANTED = (("dog", "cat"), ("iron", "gold"))


def heads_run(folder: Path, **known: int) -> tuple[RunFolder, HeadWork, list[Checkpoint]]:
    """Heads of two models of which the second connects one more pair strongly, and other weights moved by noise."""
    models = [planted_heads.blank_model() for _ in range(2)]
    for model in models:
        for layer in range(planted_heads.N_LAYERS):
            for neuron in range(2):
                planted_heads.plant(model, layer, 0, neuron, *PLANTED[0])
    for neuron in range(2):
        planted_heads.plant(models[1], 2, 3, neuron, *PLANTED[1], strength=2)
    both = [planted_heads.checkpoint(model, name) for model, name in zip(models, samples.PAIR, strict=True)]
    settings = HeadSettings(
        words=planted_heads.words(), vectors=planted_heads.vectors(), n_top=2, n_frequent=60, n_draws=1, **known
    )
    work, run = HeadExplainer().prepare(settings, Inputs()), samples.run_in(folder)
    assert isinstance(work, HeadWork)
    for role, one in zip(samples.PAIR, both, strict=True):
        work.measure(one, role, run, silent)
    return run, work, both


def test_pairs_gained_are_ranked_by_their_change_over_noise(tmp_path: Path) -> None:
    run, work, (base, tuned) = heads_run(tmp_path / "run", noise_models=2)
    size, machine = size_by_config(base.model.config), Machine("cpu", 1e9, 1e9, 10**9)
    assert work.remaining_pair(run, samples.PAIR, size, machine).steps["noise"].most != Cost()
    assert not work.is_pair_measured(run, samples.PAIR)
    work.measure_pair(base, tuned, samples.PAIR, run, silent)
    assert work.is_pair_measured(run, samples.PAIR)
    assert not work.remaining_pair(run, samples.PAIR, size, machine).steps
    for role in samples.PAIR:
        work.finish(run, role)
    change = HeadExplainer().change(Held(run), samples.PAIR, HeadSettings(), {})
    assert change is not None and change.n_noise == 2
    first = change.strengths[0]
    assert (first.layer, first.head, first.query_word, first.key_word) == (2, 3, "iron", "gold")
    assert first.change == "gained" and first.base == 0 and first.tuned > 0
    assert first.times_noise == pytest.approx((first.tuned - first.base) / first.scale) and first.times_noise > 1
    lists = [row.lists for row in change.figure2 if row.level == "head" and row.pooled]
    assert (lists[0], lists[-1]) == ("as read", NOISE)
    found = {one.kind: one for one in answer(HeadExplainer().questions(change))}
    assert found["heads.strengths"].evidence["pairs"][0] == ["iron", "gold"]
    assert found["heads.distance"].verdict is not Verdict.SHOWN
    assert change.to_dict()["strengths"][0]["query_word"] == "iron"


def test_without_any_change_there_is_no_noise_to_read(tmp_path: Path) -> None:
    run, work, (base, _) = heads_run(tmp_path / "run")
    work.measure_pair(base, base, samples.PAIR, run, silent)
    assert work.is_pair_measured(run, samples.PAIR)
    for role in samples.PAIR:
        work.finish(run, role)
    change = HeadExplainer().change(Held(run), samples.PAIR, HeadSettings(), {})
    assert change is not None and (change.n_noise, change.strengths) == (0, ())
