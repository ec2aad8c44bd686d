"""What of a model that was spread over GPUs found no room there?  It stays in the machine's memory, or on disk.

accelerate says which modules these are, and on which device each of them is to compute. It leaves them without numbers
but while they run; here they keep them where they lie, so that weights can be read, and are brought when they run
(`computing`).
"""

from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, remove_hook_from_module
from torch import Tensor, nn

from aftertune.models.mapped.computing import compute_at
from aftertune.models.mapped.files import hooks_of, map_of
from aftertune.models.mapped.memory import mark_mapped


def keep_where_they_lie(model: nn.Module, dtype: torch.dtype) -> None:
    """Give the modules that accelerate offloaded their weights back, in memory or as maps of files."""
    made: dict[Any, nn.Parameter] = {}
    for module in model.modules():
        hook = _offloading(module)
        if hook is None:
            continue
        for leaf, weight in module.named_parameters(recurse=False):
            if weight.is_meta:
                module._parameters[leaf] = _kept(hook.weights_map, leaf, made)
        device, hook.offload = hook.execution_device, False  # else it would put weights of its own there once more
        remove_hook_from_module(module)
        compute_at(module, dtype, torch.device(device if device is not None else "cpu"))


def _offloading(module: nn.Module) -> Any:
    """The hook of accelerate that brings a module's weights; None where they are there."""
    found = [one for one in hooks_of(module) if isinstance(one, AlignDevicesHook) and one.offload]
    return found[0] if found else None


def _kept(weights: Any, leaf: str, made: dict[Any, nn.Parameter]) -> nn.Parameter:
    """A weight of an offloaded module, the same parameter where two modules share it."""
    loader, name = getattr(weights, "dataset", weights), f"{getattr(weights, 'prefix', '')}{leaf}"
    place = getattr(loader, "index", {}).get(name)
    if place is not None and "safetensors_file" in place:
        key = (place["safetensors_file"], place["weight_name"])
        if key not in made:
            made[key] = mark_mapped(nn.Parameter(map_of(*key), requires_grad=False))
        return made[key]
    found: Tensor = loader[name]
    return made.setdefault(found.data_ptr(), nn.Parameter(found, requires_grad=False))
