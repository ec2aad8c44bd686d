"""Which architectures are known by name, and how is any other one told by its structure?

1. An architecture of the table is what its row says. Rows are for what structure does not tell (fused projections,
   mixtures of experts) and for those that are used most.
2. Any other is built from its configuration, without weights, and described by what its layers do (`structure`).
3. What can't be described is refused before weights are read.
"""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from aftertune.errors import CheckpointError
from aftertune.models.description import Description
from aftertune.models.layer_parts import Unreadable
from aftertune.models.structure import describe
from aftertune.models.temporary_state import quiet

NORMS = ("q_norm", "k_norm")
ATTENDED = "post_attention_layernorm"
WRITTEN = "post_feedforward_layernorm"
GEMMA: dict[str, Any] = {
    "attended_norm": ATTENDED,
    "network_norm": "pre_feedforward_layernorm",
    "written_norm": WRITTEN,
    "written_out": True,
}
EXPERTS = "mlp.experts"
ARCHITECTURES: dict[str, Description] = {
    "llama": Description("Llama", written_out=True),
    "mistral": Description("Mistral", written_out=True),
    "qwen2": Description("Qwen2", written_out=True),
    "qwen3": Description("Qwen3", head_norms=NORMS, written_out=True),
    "gemma2": Description("Gemma 2", **GEMMA),
    "gemma3_text": Description("Gemma 3", head_norms=NORMS, **GEMMA),
    "phi3": Description(
        name="Phi-3",
        projections=("qkv_proj",),
        fused="blocks",
        value="qkv_proj",
        gates=("mlp.gate_up_proj",),
        activation="mlp.activation_fn",
        written_out=True,
    ),
    "olmo2": Description(
        name="OLMo 2",
        norm=None,
        head_norms=NORMS,
        attended_norm=ATTENDED,
        network_norm=None,
        written_norm=WRITTEN,
        written_out=True,
    ),
    "gpt2": Description(
        name="GPT-2",
        backbone="transformer",
        layers="h",
        final_norm="ln_f",
        attention="attn",
        norm="ln_1",
        projections=("c_attn",),
        fused="blocks",
        value="c_attn",
        transposed=True,
        out="c_proj",
        network_norm="ln_2",
        gates=("mlp.c_fc",),
        activation="mlp.act",
        down="mlp.c_proj",
    ),
    "gpt_neox": Description(
        name="GPT-NeoX",
        backbone="gpt_neox",
        final_norm="final_layer_norm",
        attention="attention",
        projections=("query_key_value",),
        fused="heads",
        value="query_key_value",
        out="dense",
        gates=("mlp.dense_h_to_4h",),
        activation="mlp.act",
        down="mlp.dense_4h_to_h",
    ),
    "mixtral": Description("Mixtral", experts=EXPERTS),
    "qwen2_moe": Description("Qwen2-MoE", experts=EXPERTS, shared="mlp.shared_expert"),
    "qwen3_moe": Description("Qwen3-MoE", head_norms=NORMS, experts=EXPERTS),
    "olmoe": Description("OLMoE", head_norms=NORMS, experts=EXPERTS),
    "phimoe": Description("Phi-3.5-MoE", experts=EXPERTS),
    "granitemoe": Description("Granite MoE", experts="block_sparse_moe.experts"),
    "ernie4_5_moe": Description("ERNIE 4.5 MoE", experts=EXPERTS, shared="mlp.shared_experts"),
    "dots1": Description("dots.llm1", head_norms=NORMS, experts=EXPERTS, shared="mlp.shared_experts"),
}


def is_written_out(architecture: Any) -> bool:
    """Whether forward mode is written out for a configuration's architecture, or for one of the table by its name.

    Raises `CheckpointError` for a configuration whose architecture can't be read.
    """
    if not isinstance(architecture, str):
        return find_description(architecture).written_out
    return architecture in ARCHITECTURES and ARCHITECTURES[architecture].written_out


def find_description(config: Any, model: Any = None, *, trust_remote_code: bool = False) -> Description:
    """The description of a Hugging Face configuration's architecture: its row in the table, or by its structure.

    ``model`` is one of that architecture, if there is one; it is used for its class only. Raises `CheckpointError` if
    the architecture can't be read, with the reason.
    """
    config = text_config(config)
    kind = getattr(config, "model_type", None)
    if kind in ARCHITECTURES:
        return ARCHITECTURES[kind]
    try:
        return describe(_empty_model(config, model, trust_remote_code), str(kind))
    except Unreadable as reason:
        raise _refusal(kind, str(reason)) from reason


def must_be_known(raw: dict[str, Any], trust_remote_code: bool) -> None:
    """Raise `CheckpointError` if no model can be made of a configuration's own text, as its ``model_type`` says."""
    kind = raw.get("model_type")
    if trust_remote_code and "auto_map" in raw:
        return
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING_NAMES:
        raise _refusal(kind, "transformers has no model of that name")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise _refusal(kind, "transformers has no causal language model of that name")


def text_config(config: Any) -> Any:
    """The configuration of the part that reads text, of a model with images or sound; else the same."""
    try:
        return config.get_text_config(decoder=True)
    except (AttributeError, ValueError):  # none, or more than one
        return config


def text_part(model: Any) -> Any:
    """The causal language model within one with images or sound, with the same weights; else the same model."""
    config = text_config(model.config)
    if config is model.config or not isinstance(model, PreTrainedModel):
        return model
    try:
        part = _empty_model(config)
    except Unreadable as reason:
        raise _refusal(model.config.model_type, str(reason)) from reason
    prefix = part.base_model_prefix
    found = [module for module in model.modules() if type(module) is type(getattr(part, prefix))]
    if len(found) != 1 or model.get_output_embeddings() is None:
        raise _refusal(model.config.model_type, "it has no part that is a causal language model of its own")
    setattr(part, prefix, found[0])
    part.set_output_embeddings(model.get_output_embeddings())
    part.generation_config, part.config.name_or_path = model.generation_config, model.config.name_or_path
    return part


def _empty_model(config: Any, model: Any = None, trust_remote_code: bool = False) -> Any:
    """A model of this configuration without weights; raises `Unreadable` if there is none."""
    with quiet(), torch.device("meta"):
        try:
            if model is not None:
                return type(model)._from_config(config).eval()
            return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code).eval()
        except Exception as error:  # each architecture checks its configuration in its own way
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise Unreadable(f"no model of it can be built: {reason[0].rstrip('.')}") from error


def _refusal(kind: str | None, reason: str) -> CheckpointError:
    known = ", ".join(f"{row.name} ({key})" for key, row in ARCHITECTURES.items())
    return CheckpointError(
        f"The architecture {kind!r} is not known. Known: {known}, and any other whose layers are built as Llama's. "
        f"This one can't be read: {reason}. Give a checkpoint of another, or a description of this one (architecture)."
    )
