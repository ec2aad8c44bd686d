"""Feed-forward layers read as directions with words: a plain SVD in every architecture, and planted directions."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import PreTrainedModel

import aftertune
import planted_heads as planted
from aftertune.errors import AttributionError, RunError
from aftertune.explainers.concepts.components import _on_cpu, _on_device, principal_components
from aftertune.explainers.concepts.measure import measure_concepts, read_concepts
from aftertune.explainers.concepts.parts import open_concepts
from aftertune.explainers.concepts.settings import ConceptPlan
from aftertune.models.weights import down_weights
from aftertune.runs.run import RunFolder
from aftertune.words import load_words
from oracles.concepts import components, down_projections, output_embedding
from test_heads_read import some_words
from tiny import DENSE, FAMILIES, MIXTURES, N_EXPERTS, make_model, make_tokenizer


def checkpoint_of(model: PreTrainedModel) -> aftertune.Checkpoint:
    return aftertune.load(model, tokenizer=make_tokenizer())


@pytest.mark.parametrize("family", FAMILIES)
def test_components_and_words_are_those_of_a_plain_svd(family: str) -> None:
    model, words = make_model(family, torch.float64), some_words()
    found = read_concepts(checkpoint_of(model), words, n_components=8, n_words=4)
    embeddings = np.stack([output_embedding(model, make_tokenizer(), word) for word in words])
    expected_networks = [down_projections(model, layer) for layer in range(3)]
    assert sorted(found.directions) == [(at, expert) for at in range(3) for expert in range(len(expected_networks[at]))]
    for (layer, expert), own in found.directions.items():
        vectors, variances = components(expected_networks[layer][expert])
        ours = found.components.filter(layer=layer, expert=expert)
        np.testing.assert_allclose(ours["variance_share"], variances[:8] / variances.sum(), rtol=1e-9)
        spectrum = found.spectra.filter(layer=layer, expert=expert)["variance"].to_numpy()
        np.testing.assert_allclose(spectrum, variances, atol=1e-12)
        np.testing.assert_allclose(np.abs((own * vectors[:8]).sum(axis=1)), 1, atol=1e-9)
        for direction, names, cosines in zip(own, ours["words"], ours["cosines"], strict=True):
            expected = embeddings @ direction
            best = np.argsort(-np.abs(expected))[:4]
            assert names.to_list() == [words[place] for place in best] and expected[best[0]] > 0
            np.testing.assert_allclose(cosines, expected[best], atol=1e-6)


@pytest.mark.parametrize("family", DENSE)
def test_a_row_is_what_the_neuron_writes(family: str) -> None:
    """With one active neuron the network writes that neuron's row, up to its bias and what a norm divides by."""
    checkpoint = checkpoint_of(make_model(family, torch.float64))
    block = getattr(getattr(checkpoint.model, checkpoint.description.backbone), checkpoint.description.layers)[1]
    down = block.get_submodule(checkpoint.description.down)
    (rows,) = down_weights(checkpoint, 1)
    for neuron in (0, 17, len(rows) - 1):
        active = torch.zeros(1, len(rows), dtype=torch.float64)
        active[0, neuron] = 1.0
        written = down(active) - down(torch.zeros_like(active))
        if checkpoint.description.written_norm:
            written = getattr(block, checkpoint.description.written_norm)(written)
        expected = rows[neuron] / rows[neuron].norm()
        torch.testing.assert_close(written[0] / written[0].norm(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", MIXTURES)
def test_a_row_of_an_expert_is_what_its_neuron_writes(family: str) -> None:
    """With all other neurons switched off, and one expert chosen, the mixture writes a multiple of the row."""
    model = make_model(family, torch.float64)
    networks = list(down_weights(checkpoint_of(model), 1))
    block = model.model.layers[1]
    experts = (block.block_sparse_moe if family == "granitemoe" else block.mlp).experts
    state = torch.randn(1, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    n_neurons = len(networks[0])
    for expert, neuron in ((0, 3), (1, 0), (N_EXPERTS - 1, n_neurons - 1)):
        into = experts.gate_up_proj.clone()
        experts.gate_up_proj.zero_()
        experts.gate_up_proj[expert, neuron::n_neurons] = into[expert, neuron::n_neurons]  # its gate, and its input
        written = experts(state, torch.tensor([[expert]]), torch.ones(1, 1, dtype=torch.float64))[0]
        experts.gate_up_proj.copy_(into)
        row = networks[expert][neuron]
        assert torch.cosine_similarity(written, row, dim=0).abs() > 1 - 1e-12


@pytest.mark.parametrize(("family", "name"), [("qwen2_moe", "shared_expert"), ("dots1", "shared_experts")])
def test_the_shared_expert_comes_after_the_routed_ones(family: str, name: str) -> None:
    model = make_model(family, torch.float64)
    found = read_concepts(checkpoint_of(model), some_words(), n_components=4, n_words=2)
    per_layer = found.components.group_by("layer", maintain_order=True).agg(pl.col("expert").unique().sort())
    assert per_layer["expert"].to_list() == [[0], [0, 1, 2, N_EXPERTS], [0, 1, 2, N_EXPERTS]]
    *_, shared = down_weights(checkpoint_of(model), 1)
    down = getattr(model.model.layers[1].mlp, name).down_proj
    torch.testing.assert_close(shared, down(torch.eye(len(shared), dtype=torch.float64)))


def test_an_expert_has_fewer_components_than_neurons() -> None:
    """More directions than that have no variance, and would be any: centred, n rows span n - 1 dimensions."""
    directions, variances = principal_components(torch.randn(5, 9, dtype=torch.float64), 300)
    assert directions.shape == (4, 9) and (variances[:4] > 1e-6).all() and (variances[4:] < 1e-12).all()


def test_components_are_orthonormal_and_their_variances_those_of_the_rows() -> None:
    rows = torch.randn(50, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 5
    directions, variances = principal_components(rows, 20)
    torch.testing.assert_close(directions @ directions.T, torch.eye(9, dtype=torch.float64))
    along = ((rows - rows.mean(0)) @ directions.T).var(0, correction=0)
    torch.testing.assert_close(variances, along)


@pytest.mark.parametrize("rows", [torch.zeros(20, 10), torch.eye(12, 30), torch.cat([torch.eye(9), -torch.eye(9)])])
def test_components_of_like_variances_are_orthonormal_too(rows: torch.Tensor) -> None:
    directions, _ = principal_components(rows.double(), 8)
    torch.testing.assert_close(directions @ directions.T, torch.eye(8, dtype=torch.float64))


def test_the_cpu_finds_what_other_devices_find() -> None:
    rows = torch.randn(300, 150, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows -= rows.mean(dim=0)
    (values, vectors), (expected, basis) = _on_cpu(rows, 40), _on_device(rows, 40)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close((vectors * basis).sum(dim=0).abs(), torch.ones(40).double(), rtol=0, atol=1e-12)


def planted_concepts(turn_degrees: float = 0.0, name: str = "planted") -> aftertune.Checkpoint:
    """Layer 2 writes along "dog" (variance 9), then along a line between "write" and "poem" (4), "iron" (1)."""
    model = planted.blank_model()
    model.lm_head.weight.copy_(torch.eye(len(planted.WORDS) + 1, planted.D_MODEL))
    weight = torch.zeros(planted.D_MODEL, 8)
    turn = np.radians(turn_degrees)
    dog, cat, write, poem, iron = (planted.WORDS.index(word) for word in ("dog", "cat", "write", "poem", "iron"))
    weight[dog, 0], weight[dog, 1] = 6 * np.cos(turn), -6 * np.cos(turn)
    weight[cat, 0], weight[cat, 1] = 6 * np.sin(turn), -6 * np.sin(turn)
    weight[[write, poem], 2], weight[[write, poem], 3] = torch.tensor([3.2, 2.4]), -torch.tensor([3.2, 2.4])
    weight[iron, 4], weight[iron, 5] = 2, -2
    model.model.layers[2].mlp.down_proj.weight.copy_(weight)
    return planted.checkpoint(model.double(), name)


def test_planted_directions_come_out_in_order_with_their_shares() -> None:
    found = read_concepts(planted_concepts(), planted.WORDS, n_components=3, n_words=2, layers="2")
    assert found.components.select("layer", "expert", "rank").rows() == [(2, 0, 1), (2, 0, 2), (2, 0, 3)]
    np.testing.assert_allclose(found.components["variance_share"], np.array([72, 32, 8]) / 112)
    assert [words[0] for words in found.components["words"]] == ["dog", "write", "iron"]
    assert found.components["words"][1].to_list() == ["write", "poem"]
    np.testing.assert_allclose(found.components["cosines"][1], [0.8, 0.6], atol=1e-6)
    assert found.concepts_with("Poem")["rank"].to_list() == [2]
    assert found.spectra.height == planted.D_MODEL
    assert found.to_polars()["direction"].to_numpy().shape == (3, planted.D_MODEL)


def test_more_components_than_dimensions_are_not_there() -> None:
    found = read_concepts(checkpoint_of(make_model()), some_words(), n_words=3)
    assert found.components.group_by("layer").len()["len"].to_list() == [32] * 3


def test_the_model_is_left_as_it_was() -> None:
    model = make_model("gpt2")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    read_concepts(checkpoint_of(model), some_words(), n_components=2)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize(("name", "value"), [("n_components", 0), ("n_words", 0), ("layers", "3-1"), ("layers", "9")])
def test_what_can_not_be_read_is_refused(name: str, value: int | str) -> None:
    with pytest.raises(AttributionError, match=r"must be 1 or more|Give them as 0-7"):
        read_concepts(checkpoint_of(make_model()), some_words(), **{name: value})


def test_a_run_holds_what_reading_gives_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    checkpoint, words, plan = checkpoint_of(make_model()), load_words(some_words()), ConceptPlan(4, 3)
    run = RunFolder.start(tmp_path / "run", {}, {})

    def stop(_: str, done: float, __: float) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_concepts(checkpoint, "model", words, plan, run, stop)
    with pytest.raises(RunError, match="not all read yet"):
        open_concepts(run, "model")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.parquet")}
    assert len(written) == 2 + 2
    measure_concepts(checkpoint, "model", words, plan, run, lambda *_: None)
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    found, expected = open_concepts(run, "model"), read_concepts(checkpoint, words, 4, 3)
    assert found.components.equals(expected.components) and found.spectra.equals(expected.spectra)
    for network, rows in expected.directions.items():
        np.testing.assert_array_equal(found.directions[network], rows)
    for name in ("model", "layers", "n_layers", "d_model", "words", "settings"):
        assert getattr(found, name) == getattr(expected, name)
    with pytest.raises(RunError, match=r"concepts\.plan\.n_words was 3, is now 5"):
        measure_concepts(checkpoint, "model", words, ConceptPlan(4, 5), run, lambda *_: None)


def test_float32_directions_stay_float32_in_a_run(tmp_path: Path) -> None:
    run = RunFolder.start(tmp_path / "run", {}, {})
    words, checkpoint = load_words(some_words()), checkpoint_of(make_model())
    measure_concepts(checkpoint, "model", words, ConceptPlan(2, 2), run, lambda *_: None)
    assert {rows.dtype for rows in open_concepts(run, "model").directions.values()} == {np.dtype("float32")}
    assert pl.read_parquet(tmp_path / "run/concepts/components/model/layer-000.parquet").width == 7
