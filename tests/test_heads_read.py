"""Heads read as word pairs: every row against the oracle in every architecture, and planted pairs that are known."""

from pathlib import Path
from string import ascii_lowercase

import numpy as np
import polars as pl
import pytest
import torch

import aftertune
import planted_heads as planted
from aftertune.errors import AttributionError, RunError
from aftertune.explainers.heads.cooccurrence import co_occurrence, thresholds
from aftertune.explainers.heads.measure import HeadWork, make_lexicon, read_heads
from aftertune.explainers.heads.result import saved_heads
from aftertune.explainers.heads.settings import HeadSettings
from aftertune.models import top_words as top_words_module
from aftertune.models.products.weight import TallWeight
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.words import load_vectors, load_words
from oracles.heads import read as read_slowly
from tiny import DENSE, make_model, make_tokenizer

SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu")


def some_words(n: int = 120, seed: int = 0) -> list[str]:
    """Words no two of which have the same share of each letter (their embeddings would tie), some capitalised too."""
    generator, found = np.random.default_rng(seed), dict[tuple[float, ...], str]()
    while len(found) < n:
        word = "".join(generator.choice(SYLLABLES, generator.integers(1, 4)))
        found.setdefault(tuple(word.count(letter) / len(word) for letter in ascii_lowercase), word)
    words = list(found.values())
    return words + [word.capitalize() for word in words[:10]]


def some_vectors(words: list[str], seed: int = 1) -> tuple[list[str], np.ndarray]:
    """Vectors in clusters, so that many pairs pass the threshold; every seventh word has none."""
    generator = np.random.default_rng(seed)
    own = [word for number, word in enumerate(words) if number % 7 and word.islower()]
    centres = generator.normal(size=(8, 6))
    return own, (centres[generator.integers(0, 8, len(own))] + 0.5 * generator.normal(size=(len(own), 6))).astype("f4")


SETTINGS = HeadSettings(n_top=25, n_pairs=12, n_frequent=60, n_draws=0)


@pytest.mark.parametrize("family", DENSE)  # those of mixtures have nothing of their own but their weights
def test_every_row_is_that_of_the_oracle(family: str) -> None:
    model, tokenizer, words = make_model(family, torch.float64), make_tokenizer(), some_words()
    names, vectors = some_vectors(words)
    checkpoint = aftertune.load(model, tokenizer=tokenizer)
    found = read_heads(checkpoint, words, (names, vectors), SETTINGS)
    assert found.neurons.height > 100 and found.pairs.height > 10
    given = dict(zip(names, vectors.astype(np.float64), strict=True))
    for layer in range(3):
        neurons, pairs = read_slowly(model, tokenizer, words, given, layer, n_top=25, n_pairs=12, n_frequent=60)
        ours = found.neurons.filter(layer=layer)
        assert ours.select(pl.exclude("energy", "cosine")).rows() == [row[:4] + row[5:7] for row in neurons]
        np.testing.assert_allclose(ours["energy"], [row[4] for row in neurons], rtol=1e-9)
        np.testing.assert_allclose(ours["cosine"], [row[7] for row in neurons], atol=1e-6)
        assert found.pairs.filter(layer=layer).rows() == pairs


def test_reading_in_small_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    words = some_words()
    checkpoint = aftertune.load(make_model("qwen3", torch.float64), tokenizer=make_tokenizer())
    settings = HeadSettings(n_top=25, n_pairs=12, n_frequent=60)
    whole = read_heads(checkpoint, words, some_vectors(words), settings)
    monkeypatch.setattr("aftertune.models.vocabulary.EMBEDDING_BYTES", 4 * 32 * 17)
    monkeypatch.setattr("aftertune.models.top_words.ACTIVATION_BYTES_ON_CPU", 8 * 17 * 5)
    monkeypatch.setattr("aftertune.explainers.heads.word_pairs.PAIR_BYTES", 16 * 25**2 * 3)
    parts = read_heads(checkpoint, words, some_vectors(words), settings)
    for name in ("neurons", "pairs", "controls", "control_neurons"):
        own, other = getattr(whole, name), getattr(parts, name)
        assert own.select(pl.exclude("energy", "cosine")).equals(other.select(pl.exclude("energy", "cosine")))


def test_biases_do_not_matter() -> None:
    words = some_words()
    plain, biased = make_model("qwen2"), make_model("qwen2")
    for layer in biased.model.layers:
        layer.self_attn.k_proj.bias.add_(30.0)
    found = [
        read_heads(aftertune.load(model, tokenizer=make_tokenizer()), words, some_vectors(words), SETTINGS)
        for model in (plain, biased)
    ]
    assert found[0].neurons.equals(found[1].neurons)


def test_the_model_is_left_as_it_was() -> None:
    model, words = make_model("gpt2"), some_words()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    state = torch.random.get_rng_state()
    read_heads(aftertune.load(model, tokenizer=make_tokenizer()), words, some_vectors(words), HeadSettings(n_top=10))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())


def test_thresholds_are_mean_and_deviations_of_all_cosines() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(50, 7))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows[:20].T
    expected = cosines.mean(axis=1) + 1.96 * cosines.std(axis=1)
    np.testing.assert_allclose(thresholds(rows.astype("f4"), rows[:20].astype("f4")), expected, atol=1e-6)


def planted_model() -> aftertune.Checkpoint:
    model = planted.blank_model()
    for neuron in (0, 1):
        planted.plant(model, 2, 3, neuron, "dog", "cat")
        planted.plant(model, 1, 0, neuron, "Iron".lower(), "gold", strength=2 if neuron else 3)
    planted.plant(model, 1, 0, 2, "silver", "copper")
    planted.plant(model, 0, 2, 3, "dog", "gold")  # these do not occur together
    return planted.checkpoint(model, "planted")


def test_planted_pairs_come_out_in_their_layer_head_and_neuron() -> None:
    settings = HeadSettings(n_top=2, n_frequent=60, n_draws=0)
    found = read_heads(planted_model(), planted.words(), planted.vectors(), settings)
    assert found.pairs.rows() == [(1, 0, 1, "iron", "gold", 2), (2, 3, 1, "dog", "cat", 2)]
    neurons = found.neurons.select("layer", "head", "neuron", "rank", "energy", "query_word", "key_word").rows()
    assert neurons == [
        (1, 0, 0, 1, 18.0, "iron", "gold"),
        (1, 0, 1, 2, 8.0, "iron", "gold"),
        (1, 0, 2, 3, 2.0, "silver", "copper"),
        (2, 3, 0, 1, 2.0, "dog", "cat"),
        (2, 3, 1, 2, 2.0, "dog", "cat"),
    ]
    assert found.heads_with("Cat").rows() == [(2, 3, 1, "dog", "cat", 2)]
    assert found.heads_with("write").is_empty()
    cosine = found.neurons.filter(layer=2)["cosine"][0]
    dog, cat = np.array([1, 0.1]), np.array([1, 0.2])
    assert cosine == pytest.approx(dog @ cat / np.linalg.norm(dog) / np.linalg.norm(cat), abs=1e-6)


def test_activations_of_opposite_sign_form_no_pair() -> None:
    model = planted.blank_model()
    for neuron, sign in enumerate((1, 1, -1, -1)):
        planted.plant(model, 0, 0, neuron, "dog", "cat")
        model.model.layers[0].self_attn.k_proj.weight[neuron] *= sign
    found = read_heads(planted.checkpoint(model, "signs"), planted.words(), planted.vectors(), HeadSettings(n_top=2))
    assert found.neurons["neuron"].to_list() == [0, 1]


def test_a_shared_key_head_stands_for_each_of_its_query_heads() -> None:
    model = planted.blank_model()
    for neuron in (0, 1):
        planted.plant(model, 0, 2, neuron, "dog", "cat")
        planted.plant(model, 0, 3, neuron, "sheep", "cat")
    found = read_heads(planted.checkpoint(model, "shared"), planted.words(), planted.vectors(), HeadSettings(n_top=2))
    assert found.pairs.rows() == [(0, 2, 1, "dog", "cat", 2), (0, 3, 1, "cat", "sheep", 2)]


def test_words_that_differ_by_case_only_are_one_word() -> None:
    words = ["dog", "Dog", "cat", "Cat"]
    co = co_occurrence(load_words(words), load_vectors((["dog", "cat"], np.eye(2, dtype="f4"))), 10)
    assert co.lowered.tolist() == [0, 0, 1, 1] and co.types == ("dog", "cat")
    assert co.rows.tolist() == [0, 0, 1, 1]


def test_controls_give_vectors_to_other_words_the_same_each_time() -> None:
    words = [f"word{number}" for number in range(450)]
    vectors = np.random.default_rng(0).normal(size=(450, 5)).astype("f4")
    co = co_occurrence(load_words(words), load_vectors((words[:400], vectors[:400])), 100)
    for kind, farthest in (("permuted", 399), ("frequency-matched", 99)):
        drawn = co.control(kind, 0, seed=3)
        assert sorted(drawn.rows[:400].tolist()) == list(range(400)), "each vector once"
        assert drawn.rows[400:].tolist() == [400] * 50, "a word without a vector gets none"
        moved = (drawn.rows[:400] - torch.arange(400)).abs()
        assert farthest >= moved.max() > farthest / 2 and (moved > 0).float().mean() > 0.9
        assert torch.equal(drawn.rows, co.control(kind, 0, seed=3).rows)
        assert not torch.equal(drawn.rows, co.control(kind, 1, seed=3).rows)
        frequent = drawn.unit[drawn.rows[:100]].numpy()
        np.testing.assert_allclose(drawn.thresholds[:-1], thresholds(drawn.unit[:-1].numpy(), frequent), atol=1e-6)


def test_controls_are_the_same_measure_with_other_vectors() -> None:
    settings = HeadSettings(n_top=2, n_frequent=60, n_draws=2)
    lexicon = make_lexicon(planted.words(), planted.vectors(), settings)
    found = read_heads(planted_model(), planted.words(), planted.vectors(), settings)
    for kind, draw, control in lexicon.controls:
        given = {word: control.unit[row].numpy() for word, row in zip(planted.WORDS, control.rows, strict=True)}
        as_vectors = load_vectors((list(given), np.stack(list(given.values()))))
        expected = read_heads(
            planted_model(), planted.words(), as_vectors, HeadSettings(n_top=2, n_frequent=60, n_draws=0)
        )
        own = found.controls.filter(control=kind, draw=draw)
        assert own.drop("control", "draw").equals(expected.pairs)
        neurons = found.control_neurons.filter(control=kind, draw=draw)
        words = pl.Series(planted.WORDS)
        spelled = [words.gather(neurons[side]).to_list() for side in ("query", "key")]
        assert spelled == [expected.neurons[f"{side}_word"].to_list() for side in ("query", "key")]


def test_layers_can_be_chosen() -> None:
    settings = HeadSettings(n_top=2, n_frequent=60, n_draws=0, layers="0,2-3")
    found = read_heads(planted_model(), planted.words(), planted.vectors(), settings)
    assert found.layers == (0, 2, 3) and found.n_layers == 4
    assert found.pairs["layer"].unique().to_list() == [2]


@pytest.mark.parametrize("layers", ["4", "2-4", "3-1", "a", "-1", "1-", ""])
def test_layers_that_are_not_there_are_refused(layers: str) -> None:
    with pytest.raises(AttributionError, match=r"Give them as 0-7 or 0,4,8-11\."):
        read_heads(planted_model(), planted.words(), planted.vectors(), HeadSettings(layers=layers))


@pytest.mark.parametrize(("name", "value"), [("n_top", 1), ("n_pairs", 0), ("n_frequent", 1), ("n_draws", -1)])
def test_numbers_that_are_too_small_are_refused(name: str, value: int) -> None:
    with pytest.raises(AttributionError, match=rf"{name} is {value}; .* {value + 1}\b"):
        HeadSettings(**{name: value})


def test_a_run_holds_what_reading_gives_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    settings = HeadSettings(n_top=2, n_frequent=60)
    lexicon = make_lexicon(planted.words(), planted.vectors(), settings)
    run = RunFolder.start(tmp_path / "run", {}, {})

    def stop(_: str, done: float, __: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HeadWork(lexicon).measure(planted_model(), "model", run, stop)
    with pytest.raises(RunError, match="not all read yet"):
        saved_heads(run, "model")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.parquet")}
    assert len(written) == 1 + 2 * 4
    HeadWork(lexicon).measure(planted_model(), "model", run, silent)
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    found, expected = (
        saved_heads(run, "model"),
        read_heads(planted_model(), planted.words(), planted.vectors(), settings),
    )
    for name in ("neurons", "pairs", "controls", "control_neurons"):
        assert getattr(found, name).equals(getattr(expected, name))
    for name in ("model", "layers", "n_layers", "n_heads", "d_head", "words", "settings"):
        assert getattr(found, name) == getattr(expected, name)
    assert np.array_equal(found.has_vector, expected.has_vector)


def test_a_run_of_other_words_is_refused(tmp_path: Path) -> None:
    run = RunFolder.start(tmp_path / "run", {}, {})
    settings = HeadSettings(n_top=2, n_frequent=60, n_draws=0)
    HeadWork(make_lexicon(planted.words(), planted.vectors(), settings)).measure(planted_model(), "model", run, silent)
    other = make_lexicon(planted.WORDS[:-1], planted.vectors(), settings)
    with pytest.raises(RunError, match=r"heads\.words\.n was 60, is now 59"):
        HeadWork(other).measure(planted_model(), "model", run, silent)
    with pytest.raises(RunError, match=r"heads\.words\.n was 60, is now 59"):
        HeadWork(other).must_fit([], run)


def test_blocks_keep_to_their_budget_whatever_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.models.vocabulary.EMBEDDING_BYTES", 4 * 32 * 16)
    monkeypatch.setattr("aftertune.models.top_words.ACTIVATION_BYTES_ON_CPU", 4 * 16 * 8)
    blocks = []

    def recorded(weights: torch.Tensor, embeddings: TallWeight, k: int) -> tuple[torch.Tensor, ...]:
        blocks.append((4 * weights.shape[1] * embeddings.n_outputs, 4 * len(weights) * embeddings.n_outputs))
        return of_block(weights, embeddings, k)

    of_block = top_words_module._of_block
    monkeypatch.setattr(top_words_module, "_of_block", recorded)
    checkpoint = aftertune.load(make_model(), tokenizer=make_tokenizer())
    for n in (60, 240):
        blocks.clear()
        words = some_words(n)
        read_heads(checkpoint, words, some_vectors(words), HeadSettings(n_top=5, n_draws=0, layers="0"))
        assert max(size for size, _ in blocks) == 4 * 32 * 16 and max(size for _, size in blocks) == 4 * 16 * 8
