"""A PEFT adapter, merged into the weights of its base.

1. An adapter of embeddings of another size: those of the base get that size (`rows`).
2. An adapter that changes an embedding of a model whose input and output embeddings are one tensor: they are parted
   first, or the other would change as well. Where both come out equal they are one tensor again.
3. Every weight of the adapter must have its place in the model, and every place its weight (`saved`).
4. The merged model must compute what the adapter beside its base computes: one forward pass of each is compared.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from aftertune.errors import CheckpointError
from aftertune.models.adapters.saved import (
    key_mapping,
    make_ready,
    must_fit,
    read_saved,
    reason_of,
    unfit,
    wanted_of,
)
from aftertune.models.adapters.tying import is_tied, tie_if_equal
from aftertune.models.temporary_state import borrowed

N_COMPARED = 16  # tokens
# Of the logits' standard deviation: what rounding explains. Wrong merges differ by the size of the logits.
MOST_OFF = {torch.float64: 1e-6, torch.float32: 1e-3}
MOST_OFF_IN_HALF = 0.1


def merge_adapter(model: PreTrainedModel, adapter: str) -> PreTrainedModel:
    """The model with ``adapter`` (folder or hub id) merged in; raises `CheckpointError` if it does not fit.

    Every weight of the adapter must have its place in the model, and every place its weight; and the merged model must
    give the logits of the adapter beside its base.
    """
    from peft import PeftModel

    saved, tied = read_saved(adapter), is_tied(model)
    make_ready(model, saved)
    try:
        names = key_mapping(saved, model)
        wrapped: Any = PeftModel.from_pretrained(model, str(saved.place), key_mapping=names or None)
        must_fit(saved, model, wanted_of(saved, wrapped))
        beside = logits_of(wrapped)
        part_shared(wrapped)
        merged: PreTrainedModel = wrapped.merge_and_unload(safe_merge=True)
    except CheckpointError:
        raise
    except Exception as error:  # PEFT, safetensors and the hub each raise their own
        raise unfit(adapter, type(model).__name__, reason_of(error)) from error
    must_agree(beside, logits_of(merged), merged.dtype, adapter)
    if tied:
        tie_if_equal(merged)
    return merged


def part_shared(model: torch.nn.Module) -> None:
    """Give each module a weight of its own where an adapter's layers share one: else it would be merged twice.

    Embeddings that are one tensor, and layers that PEFT repeated (``layer_replication``), share one.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = {id(one.get_base_layer()) for one in model.modules() if isinstance(one, BaseTunerLayer)}
    owners: dict[int, list[Any]] = {}
    for module in model.modules():
        weight = module._parameters.get("weight")
        if weight is not None:
            owners.setdefault(id(weight), []).append(module)
    for shared in owners.values():
        if len(shared) > 1 and any(id(one) in adapted for one in shared):
            for one in shared[1:]:
                one.weight = torch.nn.Parameter(one.weight.detach().clone(), one.weight.requires_grad)


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
