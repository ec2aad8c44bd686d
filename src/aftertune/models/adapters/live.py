"""A model in memory with adapters inside: a copy of it in which they are merged, so that it is read as what it is.

It may be PEFT's own wrapper, what lies inside it, or a transformers model that loaded an adapter. The caller's model is
left as it was.
"""

import copy
from importlib.util import find_spec
from typing import Any

from transformers import PreTrainedModel

from aftertune.errors import CheckpointError
from aftertune.models.adapters.merge import logits_of, must_agree, part_shared
from aftertune.models.adapters.tying import say_tied
from aftertune.models.temporary_state import quiet

NAME = "in your model"


def is_wrapped(model: Any) -> bool:
    """Whether a model in memory is PEFT's wrapper, or has layers of an adapter inside."""
    if find_spec("peft") is None or not hasattr(model, "modules"):
        return False
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    return isinstance(model, PeftModel) or any(isinstance(one, BaseTunerLayer) for one in model.modules())


def merged_copy(model: Any) -> PreTrainedModel:
    """A copy of the model with its active adapters merged; raises `CheckpointError` where that goes wrong."""
    from peft import PeftModel

    try:
        own = copy.deepcopy(model)
        before = logits_of(own)
        part_shared(own)
        with quiet():
            is_peft = isinstance(own, PeftModel)
            merged: PreTrainedModel = own.merge_and_unload(safe_merge=True) if is_peft else _merged(own)
    except Exception as error:  # PEFT raises its own for what it can't merge
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise CheckpointError(
            f"The adapter {NAME} can't be merged: {reason}. Merge it yourself (merge_and_unload), or save it and give "
            "its folder with that of its base."
        ) from error
    must_agree(before, logits_of(merged), merged.dtype, NAME)
    say_tied(merged)
    return merged


def _merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model, whose layers with adapters are replaced by their base layers with the adapters merged in."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    wrappers = [name for name, one in model.named_modules() if isinstance(one, AuxiliaryTrainingWrapper)]
    layers = [name for name, one in model.named_modules() if isinstance(one, BaseTunerLayer)]
    inside = tuple(f"{name}." for name in wrappers)
    for name in [*wrappers, *(one for one in sorted(layers, key=len) if not one.startswith(inside))]:
        layer: Any = model.get_submodule(name)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, _without_adapter(layer))
    return model


def _without_adapter(layer: Any) -> Any:
    """A layer's base with its active adapters merged in, or the module that was trained in its place."""
    from peft.utils.other import AuxiliaryTrainingWrapper

    if isinstance(layer, AuxiliaryTrainingWrapper):
        return layer.unload_and_optionally_merge_module(merge=True, safe_merge=True, adapter_names=None)
    layer.merge(safe_merge=True)
    return layer.get_base_layer()
