"""Whole words: their tokens as after a space under every kind of tokenizer, and the mean of their embeddings."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

import aftertune
from aftertune.errors import CheckpointError
from aftertune.models.vocabulary import (
    WordEmbeddings,
    WordTokens,
    embed_words,
    embedding_matrix,
    mean_embeddings,
    tokenize_words,
)
from tiny import FAMILIES, make_model, make_tokenizer
from tokenizers_for_tests import byte_fallback, byte_level, sentencepiece, word_level

WORDS = ("hello", "hell", "cat", "the", "é", "the!")
BYTES = {"hello": "Ġhello", "hell": "hell", "cat": "c a t", "the": "t he", "é": "Ã ©", "the!": "t he !"}
PIECES = {"hello": "▁hello", "hell": "▁hel l", "cat": "c a t", "the": "▁the", "é": "", "the!": "▁the !"}
FALLBACK = {"hello": "▁hello", "hell": "▁hell", "cat": "c a t", "the": "t he", "é": "<0xC3> <0xA9>"}
KINDS = {
    "byte level": (byte_level(), BYTES),
    "byte level, trimmed": (byte_level(trim=True), BYTES),
    "sentencepiece, first": (sentencepiece("first"), PIECES),
    "sentencepiece, always": (sentencepiece("always"), PIECES),
    "sentencepiece, never": (sentencepiece("never"), PIECES),
    "byte fallback": (byte_fallback(), FALLBACK | {"the!": "t he <0x21>"}),
    "word level": (word_level(), {"hello": "hello", "the": "the"}),
}
TOKENS = ((5,), (6, 7), (), (7, 7, 9), ())


def pieces(tokenizer: PreTrainedTokenizerBase, found: WordTokens) -> list[str]:
    cut = (found.cut(place, place + 1).ids.tolist() for place in range(len(found)))
    return [" ".join(tokenizer.convert_ids_to_tokens(ids)) for ids in cut]


def some_tokens() -> WordTokens:
    lengths = torch.tensor([0, *map(len, TOKENS)])
    return WordTokens(torch.tensor([id for ids in TOKENS for id in ids]), lengths.cumsum(0))


def by_hand(matrix: torch.Tensor, ids: list[int]) -> np.ndarray:
    rows = matrix.double().numpy()[ids]
    return rows.sum(axis=0) / len(ids) if ids else np.zeros(matrix.shape[1])


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_after_a_space_without_a_lone_boundary(kind: str) -> None:
    tokenizer, expected = KINDS[kind]
    found = tokenize_words(tokenizer, WORDS)
    assert pieces(tokenizer, found) == [expected.get(word, "") for word in WORDS]
    assert len(found) == len(WORDS) and found.starts[-1] == len(found.ids)


def test_a_boundary_that_is_the_whole_word_stays() -> None:
    tokenizer = sentencepiece()
    assert pieces(tokenizer, tokenize_words(tokenizer, ["▁"])) == ["▁"]


def test_a_word_with_an_unknown_part_has_no_tokens() -> None:
    tokenizer = sentencepiece()
    assert pieces(tokenizer, tokenize_words(tokenizer, ["hello☃", "☃", "hello"])) == ["", "", "▁hello"]


def test_a_tokenizer_that_drops_what_it_does_not_know() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"a": 0, "b": 1}, [])))
    assert pieces(tokenizer, tokenize_words(tokenizer, ["ab", "x"])) == ["a b", ""]


def test_no_words_have_no_tokens() -> None:
    found = tokenize_words(byte_level(), [])
    assert len(found) == 0 and mean_embeddings(torch.ones(3, 2), found).shape == (0, 2)


def test_an_embedding_is_the_mean_over_tokens_and_zero_without_any() -> None:
    matrix = torch.arange(40.0).view(10, 4)
    expected = [[20, 21, 22, 23], [26, 27, 28, 29], [0] * 4, [(28 + 28 + 36) / 3 + n for n in range(4)], [0] * 4]
    np.testing.assert_allclose(mean_embeddings(matrix, some_tokens()), expected, rtol=1e-6)
    unknown = tokenize_words(word_level(), ["cat", "dog"])
    assert mean_embeddings(matrix, unknown).tolist() == [[0.0] * 4] * 2


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_words_of_a_model_on_either_side(family: str, side: str) -> None:
    model, tokenizer = make_model(family), make_tokenizer()
    checkpoint = aftertune.load(model, tokenizer=tokenizer)
    found = embed_words(checkpoint, ["cat", "mat", "Output", "é"], side)
    matrix = (model.get_input_embeddings() if side == "input" else model.lm_head).weight
    for word, row in zip(("cat", "mat", "Output", "é"), found, strict=True):
        ids = tokenizer(" " + word)["input_ids"]
        ids = ids[1:] if tokenizer.convert_ids_to_tokens(ids[0]) == "Ġ" else ids
        np.testing.assert_allclose(row, by_hand(matrix, ids), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_sides_are_the_same_where_embeddings_are_tied(family: str) -> None:
    model = make_model(family)
    checkpoint = aftertune.load(model, tokenizer=make_tokenizer())
    same = torch.equal(embed_words(checkpoint, ["cat"]), embed_words(checkpoint, ["cat"], "output"))
    assert same is bool(model.config.tie_word_embeddings)


def test_low_precision_is_summed_in_float32_and_float64_stays() -> None:
    words = ["question", "answer"]
    low = aftertune.load(make_model("qwen2", torch.bfloat16), tokenizer=make_tokenizer())
    matrix, tokens = embedding_matrix(low, "input"), tokenize_words(low.tokenizer, words)
    found = embed_words(low, words)
    assert matrix.dtype == torch.bfloat16 and found.dtype == torch.float32
    for place, row in enumerate(found):
        ids = tokens.cut(place, place + 1).ids.tolist()
        np.testing.assert_allclose(row, by_hand(matrix, ids), rtol=1e-6, atol=1e-8)
        assert not np.allclose(matrix[ids].mean(dim=0).float(), row, rtol=1e-6, atol=1e-8) or len(ids) == 1
    high = aftertune.load(make_model("qwen2", torch.float64), tokenizer=make_tokenizer())
    assert embed_words(high, words).dtype == torch.float64


@pytest.mark.parametrize("side", ["Input", "both", ""])
def test_another_side_is_refused(side: str) -> None:
    checkpoint = aftertune.load(make_model(), tokenizer=make_tokenizer())
    with pytest.raises(CheckpointError, match=rf"The side '{side}' is not known\. Allowed: input, output\."):
        embed_words(checkpoint, ["cat"], side)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("side", ["input", "output"])
def test_blocks_give_the_same(size: int, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.models.products.weight.OUTPUTS_ON_CPU", 3)  # so that tiny blocks have several parts
    monkeypatch.setattr("aftertune.models.vocabulary.EMBEDDING_BYTES", 4 * 32 * size)
    checkpoint = aftertune.load(make_model("qwen2"), tokenizer=make_tokenizer())
    words = ["cat", "the", "rewrite", "mat", "answer", "sat", "on"]
    expected = embed_words(checkpoint, words, side)
    for unit in (False, True):
        embeddings = WordEmbeddings(checkpoint, words, side, unit=unit)
        for _ in range(2):
            blocks = list(embeddings())
            assert [start for start, _ in blocks] == list(range(0, len(words), size))
            rows = torch.eye(expected.shape[1])
            own = torch.cat([block.product(rows).T for _, block in blocks])
            torch.testing.assert_close(own, torch.nn.functional.normalize(expected) if unit else expected)
