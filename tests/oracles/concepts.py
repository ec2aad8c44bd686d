"""Concepts (docs/method.md) once more, by a plain SVD in float64: each network's components and words."""

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from oracles.heads import NORM_OFFSET, array
from tiny import MIXTURES, N_EXPERTS

Array = npt.NDArray[np.float64]
DOWN = {"gpt2": "transformer.h.{}.mlp.c_proj", "gpt_neox": "gpt_neox.layers.{}.mlp.dense_4h_to_h"}
DENSE_LAYERS = {"dots1": (0,), "ernie4_5_moe": (0,), "qwen2_moe": (0,), "qwen3_moe": (0, 2)}  # as tiny.py sets them up
SHARED = {"dots1": "shared_experts", "ernie4_5_moe": "shared_experts", "qwen2_moe": "shared_expert"}


def down_projections(model: PreTrainedModel, layer: int) -> list[Array]:
    """W_p (n_neurons, d_model) of each network of a layer: the routed experts in their order, then the shared one."""
    kind = model.config.model_type
    if kind not in MIXTURES or layer in DENSE_LAYERS.get(kind, ()):
        return [down_projection(model, layer)]
    block = model.model.layers[layer]
    network = block.block_sparse_moe if kind == "granitemoe" else block.mlp
    routed = [array(network.experts.down_proj[expert]).T for expert in range(N_EXPERTS)]
    shared = [array(getattr(network, SHARED[kind]).down_proj.weight).T] if kind in SHARED else []
    return routed + shared


def down_projection(model: PreTrainedModel, layer: int) -> Array:
    """W_p (n_neurons, d_model): what each neuron writes, the gain of the norm after the network included."""
    kind = model.config.model_type
    weight = array(model.get_submodule(DOWN.get(kind, "model.layers.{}.mlp.down_proj").format(layer)).weight)
    rows = weight if kind == "gpt2" else weight.T
    if kind in ("gemma2", "gemma3_text", "olmo2"):
        gain = model.get_submodule(f"model.layers.{layer}.post_feedforward_layernorm").weight
        rows = rows * (array(gain) + NORM_OFFSET.get(kind, 0.0))
    return rows


def components(rows: Array) -> tuple[Array, Array]:
    """Right singular vectors of the centred rows, and the variance along each."""
    _, values, vectors = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return vectors, values**2 / len(rows)


def output_embedding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, word: str) -> Array:
    ids = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
    names = tokenizer.convert_ids_to_tokens(ids)
    if names[0] in ("Ġ", "▁") and len(ids) > 1:
        ids = ids[1:]
    mean = array(model.get_output_embeddings().weight[ids]).mean(axis=0)
    return mean / np.linalg.norm(mean)
