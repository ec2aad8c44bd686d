"""A PEFT LoRA adapter, merged into the weights of its base."""

import re
from importlib.util import find_spec
from typing import Any

from transformers import PreTrainedModel

from aftertune.errors import CheckpointError
from aftertune.models.references import find_adapter


def merge_adapter(model: PreTrainedModel, adapter: str) -> PreTrainedModel:
    """The model with ``adapter`` (folder or hub id) merged in; raises `CheckpointError` if it does not fit.

    Every weight of the adapter must have its place in the model, and every place its weight.
    """
    if find_spec("peft") is None:
        raise CheckpointError("An adapter needs the package peft. Install it: pip install 'aftertune[lora]'.")
    from peft import PeftModel

    place = find_adapter(adapter)
    try:
        wrapped = PeftModel.from_pretrained(model, place)
        misplaced = _misplaced(wrapped, place)
        merged: PreTrainedModel | None = None if misplaced else wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:  # PEFT, safetensors and the hub each raise their own
        raise _unfit(adapter, model, _reason(error)) from error
    if merged is None:
        raise _unfit(adapter, model, misplaced)
    return merged


def _misplaced(wrapped: Any, place: str) -> str:
    # PEFT passes over weights that have no place in the model; an adapter of a deeper model would seem to fit.
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights

    given = set(load_peft_weights(place, device="cpu"))
    # "auto" would ask the hub whether the vocabulary grew; embeddings saved for that are plain weights of the model.
    wanted = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    missing, extra = sorted(wanted - given), sorted(given - wanted - set(wrapped.state_dict()))
    if not missing and not extra:
        return ""
    return (
        f"{len(missing)} of its {len(wanted)} weights are missing and {len(extra)} have no place in the model "
        f"(first: {(missing + extra)[0]})"
    )


def _unfit(adapter: str, model: PreTrainedModel, reason: str) -> CheckpointError:
    return CheckpointError(
        f"The adapter {adapter} does not fit {type(model).__name__}: {reason.rstrip('.')}. "
        "Give a whole LoRA adapter that was trained on this base."
    )


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # torch lists what is wrong below a headline that says nothing
    return re.sub(r"\s+", " ", next((line for line in lines if "mismatch" in line), lines[0]))[:300]
