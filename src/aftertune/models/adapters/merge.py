"""A PEFT LoRA adapter, merged into the weights of its base.

1. An adapter that changes an embedding of a model whose input and output embeddings are one tensor: they are parted
   first, or the other would change as well.
2. Every weight of the adapter must have its place in the model, and every place its weight.
3. The merged model must compute what the adapter beside its base computes: one forward pass of each is compared.
"""

import re
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from aftertune.errors import CheckpointError
from aftertune.models.adapters.tying import untie
from aftertune.models.files.references import find_adapter
from aftertune.models.temporary_state import borrowed

N_COMPARED = 16  # tokens
# Of the logits' standard deviation: what rounding explains. Wrong merges differ by the size of the logits.
MOST_OFF = {torch.float64: 1e-6, torch.float32: 1e-3}
MOST_OFF_IN_HALF = 0.1
TRAINABLE_TOKENS = "trainable_tokens_delta"


def merge_adapter(model: PreTrainedModel, adapter: str) -> PreTrainedModel:
    """The model with ``adapter`` (folder or hub id) merged in; raises `CheckpointError` if it does not fit.

    Every weight of the adapter must have its place in the model, and every place its weight; and the merged model must
    give the logits of the adapter beside its base.
    """
    if find_spec("peft") is None:
        raise CheckpointError("An adapter needs the package peft. Install it: pip install 'aftertune[lora]'.")
    from peft import PeftModel

    place = find_adapter(adapter)
    try:
        if _changes_embeddings(model, place):
            untie(model)
        wrapped = PeftModel.from_pretrained(model, place)
        misplaced = _misplaced(wrapped, place)
        beside = None if misplaced else logits_of(wrapped)
        merged: PreTrainedModel | None = None if misplaced else wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:  # PEFT, safetensors and the hub each raise their own
        raise _unfit(adapter, model, _reason(error)) from error
    if merged is None:
        raise _unfit(adapter, model, misplaced)
    if beside is not None:
        must_agree(beside, logits_of(merged), merged.dtype, adapter)
    return merged


def _changes_embeddings(model: PreTrainedModel, place: str) -> bool:
    """Whether an adapter has weights for the input or the output embeddings alone.

    PEFT's trainable tokens are not among them: of embeddings that are one tensor they change both.
    """
    from peft.utils import load_peft_weights

    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    names = [name.rpartition(".")[-1] for name, module in model.named_modules() if any(module is end for end in ends)]
    keys = [key for key in load_peft_weights(place, device="cpu") if not key.endswith(TRAINABLE_TOKENS)]
    return any(f".{name}." in f".{key}." for key in keys for name in names)


@torch.inference_mode()
def logits_of(model: Any) -> Tensor:
    """Logits (n_tokens, n_vocabulary) of a model, or PEFT's wrapper of one, after tokens of all kinds."""
    own: PreTrainedModel = model.get_base_model() if hasattr(model, "get_base_model") else model
    weight: Tensor = own.get_input_embeddings().weight
    ids = torch.linspace(0, len(weight) - 1, N_COMPARED, device=weight.device).long()[None]
    experts = "eager" if own.dtype == torch.float64 else None  # fused experts do not know float64
    training = [one for one in model.modules() if one.training]
    with borrowed(own, experts=experts):
        found: Tensor = model.eval()(input_ids=ids).logits[0]
    for one in training:
        one.training = True
    return found.double()


def must_agree(beside: Tensor, merged: Tensor, dtype: torch.dtype, adapter: str) -> None:
    """Raise `CheckpointError` unless two models' logits differ by no more than rounding does."""
    limit = MOST_OFF.get(dtype, MOST_OFF_IN_HALF)
    off = float((beside - merged).abs().max() / beside.std().clamp_min(torch.finfo(torch.float64).tiny))
    if not off <= limit:
        raise CheckpointError(
            f"The adapter {adapter} can't be merged rightly: the merged model's logits are off by {off:.2g} standard "
            "deviations from those of the adapter beside its base. Merge it with the package that trained it, save the "
            "model, and give that folder."
        )


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
