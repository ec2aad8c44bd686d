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
from aftertune.explainers.concepts import ConceptExplainer
from aftertune.explainers.concepts.cost import layer_cost
from aftertune.explainers.concepts.layer import N_DIRECTIONS, _on_cpu, _on_device, principal_components
from aftertune.explainers.concepts.measure import ConceptWork, read_concepts
from aftertune.explainers.concepts.result import open_concepts
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.explainers.explainer import Inputs
from aftertune.models.cost import top_words
from aftertune.models.machine import Machine
from aftertune.models.size import size_by_config
from aftertune.models.weights import down_weights
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.statistics.questions import answer
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
    with pytest.raises(AttributionError, match=r"is 0; it must be .* 1|Give them as 0-7"):
        read_concepts(checkpoint_of(make_model()), some_words(), **{name: value})


def work_of(n_components: int = 4, n_words: int = 3, layers: str | None = None) -> ConceptWork:
    settings = ConceptSettings(n_components=n_components, n_words=n_words, layers=layers)
    return ConceptWork(settings, load_words(some_words()))


def test_a_run_holds_what_reading_gives_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    checkpoint, run = checkpoint_of(make_model()), RunFolder.start(tmp_path / "run", {}, {})

    def stop(_: str, done: float, __: float) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_of().measure(checkpoint, "model", run, stop)
    with pytest.raises(RunError, match="not all read yet"):
        open_concepts(run.address)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.parquet")}
    assert len(written) == 2 + 2
    work_of().measure(checkpoint, "model", run, silent)
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    found, expected = open_concepts(run.address), read_concepts(checkpoint, some_words(), 4, 3)
    assert found.components.equals(expected.components) and found.spectra.equals(expected.spectra)
    for network, rows in expected.directions.items():
        np.testing.assert_array_equal(found.directions[network], rows)
    for name in ("model", "layers", "n_layers", "d_model", "words", "settings"):
        assert getattr(found, name) == getattr(expected, name)
    for refusing in (work_of(n_words=5).measure, lambda *_: work_of(n_words=5).must_fit([], run)):
        with pytest.raises(RunError, match=r"concepts\.n_words was 3, is now 5"):
            refusing(checkpoint, "model", run, silent)
    with pytest.raises(RunError, match="holds the concepts of model, not of 'base'"):
        open_concepts(run.address, "base")


def test_float32_directions_stay_float32_in_a_run(tmp_path: Path) -> None:
    run = RunFolder.start(tmp_path / "run", {}, {})
    work_of(2, 2).measure(checkpoint_of(make_model()), "model", run, silent)
    assert {rows.dtype for rows in open_concepts(run.address).directions.values()} == {np.dtype("float32")}
    assert pl.read_parquet(tmp_path / "run/concepts/components/model/layer-000.parquet").width == 7


def test_the_work_says_what_was_chosen_and_refuses_layers_that_are_not_there(tmp_path: Path) -> None:
    run = RunFolder.start(tmp_path / "run", {}, {})
    assert work_of(layers="0-1").chosen() == [
        *(("words", "130 of a list in memory"), ("concepts", "0-1 layers, 4 components of each")),
    ]
    assert work_of().chosen()[1] == ("concepts", "all layers, 4 components of each")
    work_of(layers="0-2").must_fit([None, make_model().config], run)
    with pytest.raises(AttributionError, match="The layers '0-3' are not all there: the model has 3"):
        work_of(layers="0-3").must_fit([make_model().config], run)


def test_what_is_left_grows_less_with_each_layer(tmp_path: Path) -> None:
    checkpoint, run = checkpoint_of(make_model()), RunFolder.start(tmp_path / "run", {}, {})
    size, machine = size_by_config(checkpoint.model.config), Machine("cpu", 1e9, 1e9, 10**9)
    before = work_of().remaining(run, "model", size, machine)
    assert list(before.steps) == ["concepts"] and before.steps["concepts"].already == 0
    work_of(layers="0-1").measure(checkpoint, "model", run, silent)
    work = work_of()
    assert not work.is_measured(run, "model")
    left = work.remaining(run, "model", size, machine)
    step = left.steps["concepts"]
    assert step.already == pytest.approx(2 / 3) and step.least == step.most == layer_cost(size, 130, 4)
    assert before.steps["concepts"].least == layer_cost(size, 130, 4) * 3 + top_words(size, N_DIRECTIONS, 130)
    assert left.least_bytes == left.most_bytes == before.most_bytes > 0
    work.measure(checkpoint, "model", run, silent)
    done = work.remaining(run, "model", size, machine)
    assert work.is_measured(run, "model") and not done.steps and done.most_bytes == 0 and done.report == left.report


def test_a_run_shows_the_layers_of_the_last_time(tmp_path: Path) -> None:
    run = RunFolder.start(tmp_path / "run", {}, {})
    work_of().measure(checkpoint_of(make_model()), "model", run, silent)
    fewer = work_of(layers="1")
    assert fewer.is_measured(run, "model")
    fewer.finish(run, "model")
    assert open_concepts(run.address).layers == (1,)


def test_the_explainer_compares_what_lies_in_a_run(tmp_path: Path) -> None:
    explainer, pair = ConceptExplainer(), Pair("base", "tuned")
    run = RunFolder.start(tmp_path / "run", {"base": {"checkpoint": "x"}, "tuned": {"checkpoint": "y"}}, {})
    for role in pair:
        run.claim(f"{role}.json", {}, {"name": f"the {role} model"})
    held, settings = Held(run), ConceptSettings(words=planted.WORDS, n_components=3, n_words=2, layers="2")
    assert not explainer.is_in(run) and explainer.change(held, pair, settings, {}) is None
    work = explainer.prepare(settings, Inputs())
    work.measure(planted_concepts(), "base", run, silent)
    with pytest.raises(RunError, match="not there"):
        explainer.change(held, pair, settings, {})
    work.measure(planted_concepts(30.0), "tuned", run, silent)
    change = explainer.change(held, pair, settings, {})
    assert change is not None and (change.base, change.tuned) == ("the base model", "the tuned model")
    assert change.components["angle"].to_list() == pytest.approx([30, 0, 0], abs=1e-4)
    assert change.settings["n_components"] == 3 and change.settings["words"]["n"] == len(planted.WORDS)
    assert held.once(("concepts", "base"), dict).model == "the base model", "each is read once"
    kinds = [finding.kind for finding in answer(explainer.questions(change))]
    assert kinds[0] in explainer.always_told and "concepts.chance" in kinds
    assert explainer.measures(change)[1].value == pytest.approx(10, abs=1e-4)
