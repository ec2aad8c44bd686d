"""Heads as word pairs (docs/method.md) once more, in plain loops and float64: what each head's word pairs must be."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

Array = npt.NDArray[np.float64]
NORM_OFFSET = {"gemma2": 1.0, "gemma3_text": 1.0}


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def head_weights(model: PreTrainedModel, layer: int) -> tuple[Array, Array]:
    """W_q and W_k (n_heads, d_head, d_model), a shared key head repeated; family by family, as each is written."""
    kind, config = model.config.model_type, model.config
    n, d = (
        config.num_attention_heads,
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
    )
    n_key = getattr(config, "num_key_value_heads", None) or n
    if kind == "gpt2":
        block = model.transformer.h[layer]
        fused = array(block.attn.c_attn.weight).T
        query, key = fused[: n * d], fused[n * d : 2 * n * d]
        return tuple(centred(w.reshape(n, d, -1) * array(block.ln_1.weight)) for w in (query, key))
    if kind == "gpt_neox":
        block = model.gpt_neox.layers[layer]
        fused = array(block.attention.query_key_value.weight)
        rows = [fused[3 * d * h : 3 * d * (h + 1)] for h in range(n)]
        gain = array(block.input_layernorm.weight)
        query, key = (np.stack([part[first : first + d] for part in rows]) for first in (0, d))
        return centred(query * gain), centred(key * gain)
    block = model.model.layers[layer]
    attention = block.self_attn
    if kind == "phi3":
        fused = array(attention.qkv_proj.weight)
        query, key = fused[: n * d], fused[n * d : (n + n_key) * d]
    else:
        query, key = array(attention.q_proj.weight), array(attention.k_proj.weight)
    if kind in ("olmo2", "olmoe"):
        query = query * array(attention.q_norm.weight)[:, None]
        key = key * array(attention.k_norm.weight)[:, None]
    if kind != "olmo2":
        gain = array(block.input_layernorm.weight) + NORM_OFFSET.get(kind, 0.0)
        query, key = query * gain, key * gain
    query, key = query.reshape(n, d, -1), key.reshape(n_key, d, -1)
    if kind == "phimoe":
        query, key = centred(query), centred(key)
    if kind in ("qwen3", "qwen3_moe", "dots1", "gemma3_text"):
        offset = NORM_OFFSET.get(kind, 0.0)
        query = query * (array(attention.q_norm.weight) + offset)[None, :, None]
        key = key * (array(attention.k_norm.weight) + offset)[None, :, None]
    return query, np.repeat(key, n // n_key, axis=0)


def centred(weights: Array) -> Array:
    return weights - weights.mean(axis=-1, keepdims=True)


def word_embedding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, word: str) -> Array:
    ids = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
    names = tokenizer.convert_ids_to_tokens(ids)
    if names[0] in ("Ġ", "▁") and len(ids) > 1:
        ids = ids[1:]
    return array(model.get_input_embeddings().weight[ids]).mean(axis=0)


def vector_of(word: str, vectors: dict[str, Array]) -> Array | None:
    return vectors.get(word, vectors.get(word.lower()))


def cosine(a: Array, b: Array) -> float:
    return float(((a / np.linalg.norm(a)) * (b / np.linalg.norm(b))).sum())


def word_thresholds(words: Sequence[str], vectors: dict[str, Array], n_frequent: int) -> dict[str, float]:
    frequent: list[Array] = []
    for word in words:
        vector = vector_of(word, vectors)
        if vector is not None and not any(vector is other for other in frequent):
            frequent.append(vector)
    frequent = frequent[:n_frequent]
    found = {}
    for word in words:
        vector = vector_of(word, vectors)
        if vector is not None:
            cosines = [cosine(vector, other) for other in frequent]
            found[word] = float(np.mean(cosines) + 1.96 * np.std(cosines))
    return found


def read(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    words: Sequence[str],
    vectors: dict[str, Array],
    layer: int,
    *,
    n_top: int,
    n_pairs: int,
    n_frequent: int,
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows of ``neurons`` and of ``pairs`` of one layer."""
    embeddings = np.stack([word_embedding(model, tokenizer, word) for word in words])
    limits = word_thresholds(words, vectors, n_frequent)
    query, key = head_weights(model, layer)
    neurons, lists = [], []
    for head in range(query.shape[0]):
        in_neurons: dict[tuple[str, str], set[int]] = defaultdict(set)
        best: dict[tuple[str, str], float] = Counter()
        energies = [
            sum((query[head, d] @ e) ** 2 + (key[head, d] @ e) ** 2 for e in embeddings) for d in range(query.shape[1])
        ]
        rank = {d: place + 1 for place, d in enumerate(sorted(range(len(energies)), key=lambda d: -energies[d]))}
        for d in range(query.shape[1]):
            found = neuron_pairs(embeddings @ query[head, d], embeddings @ key[head, d], words, vectors, limits, n_top)
            for a, b, value in found[:n_pairs]:
                neurons.append((layer, head, d, rank[d], energies[d], a, b, value))
            for a, b, value in found:
                pair = tuple(sorted((a.lower(), b.lower()), key=[w.lower() for w in words].index))
                in_neurons[pair].add(d)
                best[pair] = max(best.get(pair, -2.0), value)
        often = [pair for pair, where in in_neurons.items() if len(where) >= 2]
        place = {word.lower(): index for index, word in reversed(list(enumerate(words)))}
        often.sort(key=lambda pair: (-len(in_neurons[pair]), -best[pair], place[pair[0]], place[pair[1]]))
        lists += [(layer, head, r, *pair, len(in_neurons[pair])) for r, pair in enumerate(often[:n_pairs], start=1)]
    return neurons, lists


def neuron_pairs(
    q: Array, k: Array, words: Sequence[str], vectors: dict[str, Array], limits: dict[str, float], n_top: int
) -> list[tuple[str, str, float]]:
    top_q = sorted(np.argsort(-np.abs(q))[:n_top])
    top_k = sorted(np.argsort(-np.abs(k))[:n_top])
    found = []
    for i in top_q:
        for j in top_k:
            a, b = words[i], words[j]
            if a.lower() == b.lower() or a not in limits or b not in limits or (q[i] > 0) != (k[j] > 0):
                continue
            value = cosine(vector_of(a, vectors), vector_of(b, vectors))
            if value > limits[a] and value > limits[b]:
                found.append((a, b, value))
    return sorted(found, key=lambda row: -row[2])
