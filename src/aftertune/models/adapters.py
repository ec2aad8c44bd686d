"""A PEFT LoRA adapter, merged into the weights of its base."""

import warnings
from importlib.util import find_spec
from pathlib import Path

from transformers import PreTrainedModel

from aftertune.errors import CheckpointError


def merge_adapter(model: PreTrainedModel, adapter: str) -> PreTrainedModel:
    """The model with ``adapter`` (folder or hub id) merged in; raises `CheckpointError` if it does not fit."""
    if find_spec("peft") is None:
        raise CheckpointError("An adapter needs the package peft. Install it: pip install 'aftertune[lora]'.")
    from peft import PeftModel

    if Path(adapter).exists() and not (Path(adapter) / "adapter_config.json").is_file():
        raise CheckpointError(f"{adapter} holds no adapter (no adapter_config.json). Give a folder that PEFT saved.")
    try:
        with warnings.catch_warnings():
            # PEFT only warns when a weight of the adapter has no place or no value; here that is an error.
            warnings.filterwarnings("error", message=".*(missing|unexpected).* adapter keys.*")
            wrapped = PeftModel.from_pretrained(model, adapter)
        merged = wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:  # PEFT, safetensors and the hub each raise their own
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CheckpointError(
            f"The adapter {adapter} could not be merged into {type(model).__name__}: {reason[:300]} "
            "Give an adapter that was trained on this base."
        ) from error
    return merged
