"""The change of weights read as words: what is planted is first and claimed, noise claims nothing, formulas hold."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

import change_samples as samples
import output_samples
import tiny
from aftertune.explainers.concepts import ConceptExplainer, ConceptSettings
from aftertune.explainers.concepts.pair_parts import CHANCE_OF_CHANGE, READ_WORDS, WRITTEN
from aftertune.explainers.concepts.token_readout import TokenReadout, readable_tokens
from aftertune.explainers.concepts.weight_change import ChangedWeights, noise_top_share
from aftertune.explainers.concepts.written import read_rows, written_rows
from aftertune.explainers.concepts.written_findings import LEAST_Z, written_questions
from aftertune.models.weight_changes import ATTENTION, FEED_FORWARD, read_change, written_change
from aftertune.prompts.tokenization import show_tokens
from aftertune.runs.held import Held
from aftertune.runs.stage import silent
from aftertune.statistics.finding import Part, Verdict
from aftertune.statistics.questions import answer

TOKEN, LAYER, N_NULLS, MOST_FALSE = 281, 7, 20, 3
LAYERS = range(samples.N_LAYERS)
TOKENIZER = tiny.make_tokenizer(False)


def planted(model: object) -> None:
    samples.add_noise(model, 0, 0.01)  # type: ignore[arg-type]
    samples.write_token(model, TOKEN, LAYER, 1.0)  # type: ignore[arg-type]
    samples.read_token(model, TOKEN, 3, 1.0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def change(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    own, other = samples.checkpoint(samples.base(), "base"), samples.checkpoint(samples.tuned(planted), "tuned")
    before = {name: weight.clone() for name, weight in own.model.state_dict().items()}
    found = samples.measured(samples.run_in(tmp_path_factory.mktemp("change") / "run"), own, other)
    assert all(torch.equal(weight, before[name]) for name, weight in own.model.state_dict().items())
    return found


def token_text() -> str:
    (text,) = show_tokens(TOKENIZER, [TOKEN])
    return text.strip() or text


def test_a_planted_token_is_written_first_and_claimed(change) -> None:  # type: ignore[no-untyped-def]
    first = change.written[0]
    assert (first.layer, first.module, first.rank, first.words[0]) == (LAYER, FEED_FORWARD, 1, token_text())
    assert first.share > 0.9 > 3 * first.noise_top_share / 5 and first.is_beyond_noise and first.is_beyond_limit
    found = {one.kind: one for one in answer(ConceptExplainer().questions(change))}["concepts.written"]
    assert found.verdict is Verdict.SHOWN and found.evidence["words"] == [token_text()]
    assert found.evidence["largest"] == pytest.approx(first.z) and found.evidence["p_value_corrected"] < 0.01
    others = [row.z for row in change.written if row.rank > 1 or row.layer != LAYER]
    assert max(others) < change.written_test.noise_limit < first.z


def test_noise_of_the_same_size_is_read_beside(change) -> None:  # type: ignore[no-untyped-def]
    assert change.n_noise == 1 and change.rotation_of_noise.component_angle.n == samples.N_LAYERS
    assert change.rotation_of_noise.component_angle.mean > 0
    data = change.to_dict()
    assert data["written"][0]["words"][0] == token_text() and data["written_test"]["n_draws"] == 19
    tables = change.tables()
    assert tables["concept_written"].height == len(change.written) == 2 * 5 * 2 * samples.N_LAYERS
    assert tables["concept_read"].columns == ["word", "ratio", "times_noise", "noise_limit", "is_beyond_noise"]


def frames_of(other, layers=LAYERS, own=None):  # type: ignore[no-untyped-def]
    return ChangedWeights(own or samples.checkpoint(samples.base(), "base"), other, layers).frames(silent)


def told(frames, has_noise: bool = True):  # type: ignore[no-untyped-def]
    rows, test = written_rows(frames["written"], frames["chance"], LAYERS, {}, has_noise)
    (found, *_) = answer(written_questions(rows, test, read_rows(frames["read"])))
    return found


def test_noise_alone_claims_nothing() -> None:
    own, claimed, beyond = samples.checkpoint(samples.base(), "base"), 0, 0
    for seed in range(N_NULLS):
        other = samples.checkpoint(samples.tuned(lambda model, seed=seed: samples.add_noise(model, seed)), "tuned")
        frames = frames_of(other, own=own)
        claimed += told(frames).verdict is Verdict.SHOWN
        beyond += any(row.is_beyond_noise for row in read_rows(frames["read"]))
    assert claimed <= MOST_FALSE and beyond <= MOST_FALSE


@pytest.mark.parametrize(
    ("word", "z", "part"),
    [("cheese", LEAST_Z, Part.NAME), ("cheese", LEAST_Z - 0.01, None), ("their", 20.0, None), ("ed", 20.0, None)],
)
def test_only_content_words_far_beyond_noise_name_the_tuning(word: str, z: float, part: Part | None) -> None:
    frames = frames_of(samples.checkpoint(samples.tuned(planted), "tuned"))
    (first, *_), test = written_rows(frames["written"], frames["chance"], LAYERS, {}, True)
    assert first.is_beyond_noise
    (found, *_) = answer(written_questions([replace(first, words=(word,), z=z)], test, ()))
    assert (found.verdict, found.part) == (Verdict.SHOWN, part)


def test_without_noise_nothing_is_claimed() -> None:
    frames = frames_of(samples.checkpoint(samples.tuned(planted), "tuned"))
    assert told(frames, has_noise=False).verdict is Verdict.CANNOT_TELL


def test_where_nothing_changed_there_are_no_rows() -> None:
    frames = frames_of(samples.checkpoint(samples.base(), "tuned"))
    assert {name: frame.schema for name, frame in frames.items()} == {
        name: pl.Schema(schema)
        for name, schema in (("written", WRITTEN), ("chance", CHANCE_OF_CHANGE), ("read", READ_WORDS))
    }
    assert all(frame.is_empty() for frame in frames.values())
    assert written_rows(frames["written"], frames["chance"], LAYERS, {}, True) == ((), None)


def test_directions_are_those_of_a_singular_value_decomposition_in_float64() -> None:
    own, other = samples.base(), samples.tuned(lambda model: samples.add_noise(model, 3))
    for module, name in ((FEED_FORWARD, "mlp.down_proj"), (ATTENTION, "self_attn.o_proj")):
        before, after = (one.model.layers[2].get_submodule(name).weight.double() for one in (own, other))
        _, values, rows = np.linalg.svd((after - before).T.numpy(), full_matrices=False)
        found = written_change(samples.checkpoint(own, "a"), samples.checkpoint(other, "b"), 2, module, 5)
        assert found is not None and found.squared == pytest.approx((values**2).sum(), rel=1e-9)
        assert found.shares == pytest.approx((values[:5] ** 2 / (values**2).sum()).tolist(), rel=1e-6)
        cosines = np.abs((found.directions.double().numpy() * rows[:5]).sum(1))
        assert cosines == pytest.approx([1.0] * 5, abs=1e-5)


def test_z_is_that_of_centred_unit_output_embeddings() -> None:
    checkpoint = samples.checkpoint(samples.base(), "base")
    directions = torch.nn.functional.normalize(torch.randn(7, samples.D_MODEL, generator=torch.manual_seed(0)), dim=1)
    ids = readable_tokens(checkpoint.tokenizer, 300)
    assert 0 < len(ids) < 300 and not set(ids) & set(checkpoint.tokenizer.all_special_ids)
    embeddings = checkpoint.model.lm_head.weight[ids].double().numpy()
    centred = embeddings - embeddings.mean(0)
    products = directions.double().numpy() @ (centred / np.linalg.norm(centred, axis=1, keepdims=True)).T
    z = (products - products.mean(1, keepdims=True)) / products.std(1, keepdims=True)
    found = TokenReadout(checkpoint)(directions, 3, 4)
    assert found.largest == pytest.approx(np.abs(z).max(1), rel=1e-5) and len(found.words) == 3
    for row in range(3):
        assert [side[0] for side in found.z[row]] == pytest.approx([z[row].max(), -z[row].min()], rel=1e-5)
        (text,) = show_tokens(checkpoint.tokenizer, [ids[int(z[row].argmax())]])
        assert found.words[row][0][0] == (text.strip() or text)


def test_a_planted_token_is_read_first_and_beyond_noise() -> None:
    ids = [id for id in range(300) if is_word(id)]
    token = ids[len(ids) // 2]

    def reading(model: object) -> None:
        samples.add_noise(model, 0, 0.01)  # type: ignore[arg-type]
        samples.read_token(model, token, 3, 1.0)  # type: ignore[arg-type]

    own, other = samples.checkpoint(samples.base(), "base"), samples.checkpoint(samples.tuned(reading), "tuned")
    frames = frames_of(other)
    (text,) = show_tokens(own.tokenizer, [token])
    first = read_rows(frames["read"])[0]
    assert (first.word, first.is_beyond_noise) == (text.strip(), True)
    x = torch.nn.functional.normalize(own.model.model.embed_tokens.weight[token].double(), dim=0)
    changed, kept, squared = 0.0, 0.0, 0.0
    for before, after in zip(own.model.model.layers, other.model.model.layers, strict=True):
        for name in ("gate_proj", "up_proj"):
            one, two = (layer.mlp.get_submodule(name).weight.double() for layer in (before, after))
            changed += float(((two - one) @ x).square().sum())
            kept += float((one @ x).square().sum())
            squared += float((two - one).square().sum())
    assert first.ratio == pytest.approx(changed / kept, rel=1e-4)
    assert first.times_noise == pytest.approx(changed / (squared / samples.D_MODEL), rel=1e-4)


def is_word(id: int) -> bool:
    (text,) = show_tokens(TOKENIZER, [id])
    return text[:1].isspace() and text.strip().isalpha() and len(text) > 3


def test_noise_has_no_more_in_its_first_directions_than_the_formula_says() -> None:
    generator = np.random.default_rng(0)
    for shape in ((96, 64), (400, 64), (64, 64)):
        values = np.linalg.svd(generator.standard_normal(shape), compute_uv=False) ** 2
        assert 0.7 < values[:5].sum() / values.sum() / noise_top_share(*shape, 5) < 1.05


def test_what_a_module_brings_stands_beside_its_directions(tmp_path: Path) -> None:
    own, other = samples.checkpoint(samples.base(), "base"), samples.checkpoint(samples.tuned(planted), "tuned")
    run = samples.run_in(tmp_path / "run")
    samples.measured(run, own, other, layers="6-7", noise_models=0)
    located = SimpleNamespace(singles=[SimpleNamespace(layer=LAYER, module="feed-forward", brings=0.4)])
    found = ConceptExplainer().change(Held(run), samples.PAIR, ConceptSettings(), {"location": located})
    assert found is not None and found.written[0].brings == 0.4 and found.n_noise == 0
    assert {row.brings for row in found.written if row.module == "attention"} == {None}
    (claim, *_) = answer(ConceptExplainer().questions(found))
    assert claim.verdict is Verdict.CANNOT_TELL


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "gemma2", "olmo2", "mixtral", "qwen2_moe", "phi3"])
def test_every_architecture_can_be_read(family: str) -> None:
    own, other = output_samples.base(family), output_samples.base(family)
    with torch.no_grad():
        for weight in other.model.parameters():
            weight += 0.01 * torch.randn(weight.shape, generator=torch.manual_seed(1))
    frames = frames_of(other, range(3), own)
    assert frames["written"].filter(sign=1).height == 2 * 3 * 5 and not frames["chance"].is_empty()
    assert frames["written"].select(pl.col("top_share").is_between(0, 1).all()).item()
    assert read_change(own, other, 1) is not None and not frames["read"].is_empty()
