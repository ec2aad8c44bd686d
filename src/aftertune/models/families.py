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
    (query, key and value of the first head, of the second, ...). ``head_norms`` normalise queries and keys once more.

    ``down`` is the path from a layer to the down projection of its feed-forward network, ``written_norm`` the norm of
    what that network writes, None where there is none. ``transposed`` weights are (in, out) instead of (out, in). A
    norm scales by ``norm_offset`` + its weight. ``attended_norm`` is the norm of what attention writes, and
    ``network_norm`` the one of what the network is given, None where there is none.

    ``written_out`` families have layers of Llama's build, as `aftertune.explainers.attribution.importance.written` takes them: two halves
    that add to x what attention and a gated network write, root mean square norms, and rotary positions.

    In a mixture of experts ``experts`` is the path from a layer to the module that holds the ``down_proj`` of all
    routed experts in one tensor, (experts, out, in), and ``shared`` the one to the network that every token passes
    through beside them, None where there is none. A layer without that module is dense, as ``down`` says.
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
    down: str = "mlp.down_proj"
    experts: str | None = None
    shared: str | None = None
    attended_norm: str | None = None
    network_norm: str | None = "post_attention_layernorm"
    written_norm: str | None = None
    written_out: bool = False
    norm_offset: float = 0.0


NORMS = ("q_norm", "k_norm")
ATTENDED = "post_attention_layernorm"
WRITTEN = "post_feedforward_layernorm"
GEMMA: dict[str, Any] = {
    "attended_norm": ATTENDED,
    "network_norm": "pre_feedforward_layernorm",
    "written_norm": WRITTEN,
    "written_out": True,
    "norm_offset": 1.0,
}
EXPERTS = "mlp.experts"
FAMILIES = {
    "llama": Family("Llama", written_out=True),
    "mistral": Family("Mistral", written_out=True),
    "qwen2": Family("Qwen2", written_out=True),
    "qwen3": Family("Qwen3", head_norms=NORMS, written_out=True),
    "gemma2": Family("Gemma 2", **GEMMA),
    "gemma3_text": Family("Gemma 3", head_norms=NORMS, **GEMMA),
    "phi3": Family("Phi-3", projections=("qkv_proj",), fused="blocks", written_out=True),
    "olmo2": Family(
        name="OLMo 2",
        norm=None,
        head_norms=NORMS,
        attended_norm=ATTENDED,
        network_norm=None,
        written_norm=WRITTEN,
        written_out=True,
    ),
    "gpt2": Family(
        name="GPT-2",
        backbone="transformer",
        layers="h",
        attention="attn",
        norm="ln_1",
        projections=("c_attn",),
        fused="blocks",
        transposed=True,
        down="mlp.c_proj",
    ),
    "gpt_neox": Family(
        name="GPT-NeoX",
        backbone="gpt_neox",
        attention="attention",
        projections=("query_key_value",),
        fused="heads",
        down="mlp.dense_4h_to_h",
    ),
    "mixtral": Family("Mixtral", experts=EXPERTS),
    "qwen2_moe": Family("Qwen2-MoE", experts=EXPERTS, shared="mlp.shared_expert"),
    "qwen3_moe": Family("Qwen3-MoE", head_norms=NORMS, experts=EXPERTS),
    "olmoe": Family("OLMoE", head_norms=NORMS, experts=EXPERTS),
    "phimoe": Family("Phi-3.5-MoE", experts=EXPERTS),
    "granitemoe": Family("Granite MoE", experts="block_sparse_moe.experts"),
    "ernie4_5_moe": Family("ERNIE 4.5 MoE", experts=EXPERTS, shared="mlp.shared_experts"),
    "dots1": Family("dots.llm1", head_norms=NORMS, experts=EXPERTS, shared="mlp.shared_experts"),
}


def is_written_out(architecture: str) -> bool:
    """Whether forward mode is written out for models of an architecture's build."""
    return architecture in FAMILIES and FAMILIES[architecture].written_out


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
