"""A PEFT adapter, merged into the weights of its base.

1. An adapter of embeddings of another size: those of the base get that size (`rows`).
2. An adapter that changes an embedding of a model whose input and output embeddings are one tensor: they are parted
   first, or the other would change as well. Where both come out equal they are one tensor again.
3. Every weight of the adapter must have its place in the model, and every place its weight (`saved`).
4. Of a model on disk the layers are merged one by one, and written to disk again.
5. The merged model must compute what the adapter beside its base computes: one forward pass of each is compared.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from aftertune.errors import CheckpointError
from aftertune.models.adapters.rows import names_of_embeddings
from aftertune.models.adapters.saved import (
    SavedAdapter,
    key_mapping,
    make_ready,
    must_fit,
    read_saved,
    reason_of,
    unfit,
    wanted_of,
)
from aftertune.models.adapters.tying import is_tied, tie_if_equal
from aftertune.models.mapped.computing import compute_in, computed_in, make_full
from aftertune.models.mapped.files import WORTH_WRITING, spilled
from aftertune.models.mapped.memory import lies_on_disk, mark_mapped
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

    saved, tied, on_disk = read_saved(adapter), is_tied(model), lies_on_disk(model)
    make_ready(model, saved)
    if on_disk:
        _make_whole_in_full(model, saved)
    try:
        names = key_mapping(saved, model)
        wrapped: Any = PeftModel.from_pretrained(model, str(saved.place), key_mapping=names or None)
        must_fit(saved, model, wanted_of(saved, wrapped))
        beside = logits_of(wrapped)
        part_shared(wrapped)
        if on_disk:
            _merge_one_by_one(wrapped)
        merged: PreTrainedModel = wrapped.merge_and_unload(safe_merge=True)
    except CheckpointError:
        raise
    except Exception as error:  # PEFT, safetensors and the hub each raise their own
        raise unfit(adapter, type(model).__name__, reason_of(error)) from error
    must_agree(beside, logits_of(merged), merged.dtype, adapter)
    if tied:
        tie_if_equal(merged)
    return merged


def _make_whole_in_full(model: PreTrainedModel, saved: SavedAdapter) -> None:
    """Make what was trained as a whole (embeddings, modules to save) full before it is copied, or it would be rounded.

    Embeddings of another size are new modules, which compute as all others do.
    """
    kind = computed_in(model)
    assert kind is not None, "a model on disk was told how to compute"
    compute_in(model, kind)
    names = {*(saved.config.get("modules_to_save") or ())}
    if saved.changes_one_of(names_of_embeddings(model)):
        names |= {*names_of_embeddings(model)}
    make_full(
        inner
        for name, module in model.named_modules()
        if any(name == one or name.endswith(f".{one}") for one in names)
        for inner in module.modules()
    )


def _merge_one_by_one(wrapped: Any) -> None:
    """Merge each layer of an adapter into its base layer in full, and write that to disk before the next one."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for layer in [one for one in wrapped.modules() if isinstance(one, BaseTunerLayer)]:
        base: Any = layer.get_base_layer()
        make_full([base])
        layer.merge(safe_merge=True)
        for weight in base.parameters(recurse=False):
            if weight.numel() >= WORTH_WRITING:
                mark_mapped(weight).data = spilled(weight)


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
