"""Which architectures are known, and where each keeps its parts. What is not in the table is refused."""

from dataclasses import dataclass
from typing import Any

from aftertune.errors import CheckpointError


@dataclass(frozen=True)
class Family:
    """Where an architecture keeps what the explainers need.

    ``backbone`` is the attribute of the causal language model that maps embeddings to final, normalised states.
    """

    name: str
    backbone: str = "model"


FAMILIES = {
    "llama": Family("Llama"),
    "mistral": Family("Mistral"),
    "qwen2": Family("Qwen2"),
    "qwen3": Family("Qwen3"),
    "gemma2": Family("Gemma 2"),
    "gemma3_text": Family("Gemma 3"),
    "phi3": Family("Phi-3"),
    "olmo2": Family("OLMo 2"),
    "gpt2": Family("GPT-2", backbone="transformer"),
    "gpt_neox": Family("GPT-NeoX", backbone="gpt_neox"),
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
