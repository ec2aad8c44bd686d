"""Which architectures are known, and where each keeps its parts. What is not in the table is refused."""

from dataclasses import dataclass
from typing import Any

from aftertune.errors import CheckpointError


@dataclass(frozen=True)
class Family:
    """Where an architecture keeps what the explainers need.

    ``backbone`` is the attribute of the causal language model that maps embeddings to final, normalised states, and
    ``layers`` its list of layers. In a layer, ``attention`` is the attention module and ``norm`` the one that
    normalises its input, None where there is none. ``projections`` names the attention's query and key projections;
    a single name is a fused one, laid out as ``fused`` says: "blocks" (all queries, all keys, all values) or "heads"
    (query, key and value of the first head, of the second, ...). ``transposed`` weights are (in, out) instead of
    (out, in). ``head_norms`` normalise queries and keys once more. A norm scales by ``norm_offset`` + its weight.
    """

    name: str
    backbone: str = "model"
    layers: str = "layers"
    attention: str = "self_attn"
    norm: str | None = "input_layernorm"
    projections: tuple[str, ...] = ("q_proj", "k_proj")
    fused: str | None = None
    transposed: bool = False
    head_norms: tuple[str, str] | None = None
    norm_offset: float = 0.0


NORMS = ("q_norm", "k_norm")
FAMILIES = {
    "llama": Family("Llama"),
    "mistral": Family("Mistral"),
    "qwen2": Family("Qwen2"),
    "qwen3": Family("Qwen3", head_norms=NORMS),
    "gemma2": Family("Gemma 2", norm_offset=1.0),
    "gemma3_text": Family("Gemma 3", norm_offset=1.0, head_norms=NORMS),
    "phi3": Family("Phi-3", projections=("qkv_proj",), fused="blocks"),
    "olmo2": Family("OLMo 2", norm=None, head_norms=NORMS),
    "gpt2": Family(
        name="GPT-2",
        backbone="transformer",
        layers="h",
        attention="attn",
        norm="ln_1",
        projections=("c_attn",),
        fused="blocks",
        transposed=True,
    ),
    "gpt_neox": Family(
        name="GPT-NeoX",
        backbone="gpt_neox",
        attention="attention",
        projections=("query_key_value",),
        fused="heads",
    ),
}


def find_family(config: Any) -> Family:
    """The family of a Hugging Face configuration; raises `CheckpointError` if its architecture is not in the table."""
    kind = getattr(config, "model_type", None)
    if kind not in FAMILIES:
        known = ", ".join(f"{family.name} ({key})" for key, family in FAMILIES.items())
        raise CheckpointError(
            f"The architecture {kind!r} is not known. Known: {known}. "
            "A text-only checkpoint of one of these families can be read; another needs a row in models/families.py."
        )
    return FAMILIES[kind]
