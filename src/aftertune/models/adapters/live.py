"""A model in memory with adapters inside: a copy of it in which they are merged, so that it is read as what it is.

It may be PEFT's own wrapper, what lies inside it, or a transformers model that loaded an adapter. The caller's model is
left as it was.
"""

import copy
from importlib.util import find_spec
from typing import Any

from transformers import PreTrainedModel

from aftertune.errors import CheckpointError
from aftertune.models.adapters.merge import logits_of, must_agree

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
        merged: PreTrainedModel = own.merge_and_unload(safe_merge=True) if isinstance(own, PeftModel) else _merged(own)
    except Exception as error:  # PEFT raises its own for what it can't merge
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise CheckpointError(
            f"The adapter {NAME} can't be merged: {reason}. Merge it yourself (merge_and_unload), or save it and give "
            "its folder with that of its base."
        ) from error
    must_agree(before, logits_of(merged), merged.dtype, NAME)
    return merged


def _merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model, whose layers with adapters are replaced by their base layers with the adapters merged in."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    names = [name for name, one in model.named_modules() if isinstance(one, BaseTunerLayer | AuxiliaryTrainingWrapper)]
    for name in sorted(names, key=len):
        layer: Any = model.get_submodule(name)
        if isinstance(layer, AuxiliaryTrainingWrapper):
            raise TypeError(f"{name} is a {type(layer).__name__}")
        layer.merge(safe_merge=True)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer.get_base_layer())
    return model
