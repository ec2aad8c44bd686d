"""How each architecture that no table describes is written, by hand: places of its parts, and what its norms do."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedModel

from oracles.heads import array, centred

Array = npt.NDArray[np.float64]
BOTH = ("q_norm", "k_norm")


@dataclass(frozen=True)
class Written:
    """What differs from Llama; ``offset`` is what all norms add to their weights."""

    norm: str | None = "input_layernorm"
    head_norms: tuple[str, str] | None = None
    layer_norm: bool = False
    head_layer_norm: bool = False
    offset: float = 0.0
    down: str = "mlp.down_proj"
    written_norm: str | None = None
    inside: str = ""
    gated: bool = False
    fused: bool = False


WRITTEN = {
    "apertus": Written(norm="attention_layernorm", head_norms=BOTH),
    "cohere": Written(layer_norm=True),
    "cohere-qk": Written(layer_norm=True, head_norms=BOTH, head_layer_norm=True),
    "cohere2": Written(layer_norm=True),
    "exaone4": Written(norm=None, head_norms=BOTH, written_norm="post_feedforward_layernorm"),
    "gemma": Written(offset=1.0),
    "glm4": Written(written_norm="post_mlp_layernorm"),
    "hunyuan_v1_dense": Written(head_norms=("query_layernorm", "key_layernorm")),
    "hyperclovax": Written(written_norm="post_norm2"),
    "jais2": Written(layer_norm=True),
    "lfm2": Written(norm="operator_norm", head_norms=("q_layernorm", "k_layernorm"), down="feed_forward.w2"),
    "moshi": Written(inside=".linear", down="mlp.fc2"),
    "nanochat": Written(down="mlp.fc2"),
    "nemotron": Written(layer_norm=True, offset=1.0),
    "olmo": Written(layer_norm=True),
    "olmo3": Written(norm=None, head_norms=BOTH, written_norm="post_feedforward_layernorm"),
    "phi": Written(layer_norm=True, down="mlp.fc2"),
    "phi-qk": Written(layer_norm=True, head_norms=("q_layernorm", "k_layernorm"), head_layer_norm=True, down="mlp.fc2"),
    "phi4_multimodal": Written(fused=True),
    "qwen3_5_text": Written(head_norms=BOTH, offset=1.0, gated=True),
    "qwen3_5_text-hybrid": Written(head_norms=BOTH, offset=1.0, gated=True),
    "stablelm": Written(layer_norm=True),
    "stablelm-parallel": Written(layer_norm=True),
    "starcoder2": Written(layer_norm=True, down="mlp.c_proj"),
    "vaultgemma": Written(offset=1.0),
}
WHOLE = ("olmo3",)  # one norm for the queries of all heads in a row


def query_key(name: str, model: PreTrainedModel, layer: int) -> list[Array]:
    """W_q (n_heads, d_head, d_model) and W_k (n_key_heads, d_head, d_model), norms folded in."""
    own, block = WRITTEN.get(name, Written()), model.model.layers[layer]
    found = []
    for part, n_heads in zip("qk", (4, 2), strict=True):
        if own.fused:
            fused = array(block.self_attn.qkv_proj.weight)
            weight = fused[:32] if part == "q" else fused[32:48]
        else:
            weight = array(block.self_attn.get_submodule(f"{part}_proj{own.inside}").weight)
        if name == "moshi":
            n_heads = model.config.num_key_value_heads if part == "k" else 4
        weight = weight.reshape(n_heads, -1, weight.shape[1])
        if own.gated and part == "q":
            weight = weight[:, : weight.shape[1] // 2]
        if own.norm:
            gain = getattr(block, own.norm).weight if hasattr(getattr(block, own.norm), "weight") else None
            weight = weight * (array(gain) + own.offset if gain is not None else 1.0)
            weight = centred(weight) if own.layer_norm else weight
        if own.head_norms:
            norm = array(block.self_attn.get_submodule(own.head_norms["qk".index(part)]).weight) + own.offset
            weight = weight - weight.mean(axis=1, keepdims=True) if own.head_layer_norm else weight
            weight = weight * (norm.reshape(n_heads, -1, 1) if name in WHOLE or norm.ndim == 2 else norm[None, :, None])
        found.append(weight)
    return found


def down(name: str, model: PreTrainedModel, layer: int) -> Array:
    """W_p (n_neurons, d_model), the norm after it folded in."""
    own, block = WRITTEN.get(name, Written()), model.model.layers[layer]
    rows = array(block.get_submodule(own.down).weight).T
    return rows * (array(getattr(block, own.written_norm).weight) + own.offset) if own.written_norm else rows
