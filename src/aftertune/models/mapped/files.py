"""How does a model stay on disk?  Its parameters are memory maps of safetensors files, in the dtype of the files.

1. transformers says which tensor of which file each parameter is: it is asked to offload the whole model to disk. A
   parameter that it makes of several tensors (experts that are fused), or of a file that can't be mapped, it writes
   once into a folder of its own.
2. Each parameter becomes a private map of its place: a page is read when it is used, and given up when memory is
   short. Nothing is ever written through it.
3. The folder is removed right away; where files are open longer than they have a name, it lives as long as the model.

What is read is converted by who reads it (`norms.precise`), and where a module runs (`computing`), so that numbers are
those of a model that was converted as a whole. What transformers computes while it builds the model (buffers, such as
the factor of Gemma's embeddings) is in the dtype that was asked for, and what it writes too.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from aftertune.errors import CheckpointError
from aftertune.models.files.quantised import quantised_by
from aftertune.models.mapped.computing import compute_at
from aftertune.models.mapped.memory import ON_DISK, mark_mapped

Index = Mapping[str, Mapping[str, str]]
# What transformers and accelerate put on a model that is offloaded; nothing of it is left here.
LEFT_BEHIND = ("to", "cuda", "npu", "xpu", "mlu", "sdaa", "musa", "hf_device_map")
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
NO_SPACE = "No space left"
WORTH_WRITING = 2**16  # numbers of a weight that is kept in a file when it was changed


def must_be_mappable(config: Any, ref: str, is_gguf: bool) -> None:
    """Raise `CheckpointError` for weights that have to be computed before they can be used: there is nothing to map."""
    how = "a GGUF file" if is_gguf else quantised_by(config)
    if how is not None:
        raise CheckpointError(
            f"The weights of {ref} are quantised ({how}), so they have to be dequantised in memory and can't be read "
            f"from disk tensor by tensor. Give the checkpoint in full precision, or another device than {ON_DISK!r}."
        )


def read_mapped(read: Callable[..., PreTrainedModel], ref: str, dtype: torch.dtype) -> PreTrainedModel:
    """The model that ``read(dtype=, device_map=, offload_folder=)`` gives, its parameters as maps of files.

    It computes in ``dtype``. Raises `CheckpointError` if that can't hold the numbers of its files, or there is no room
    for weights that have to be written.
    """
    with tempfile.TemporaryDirectory(prefix="aftertune-", ignore_cleanup_errors=True) as folder:
        try:
            model = read(dtype=dtype, device_map={"": ON_DISK}, offload_folder=folder)
        except CheckpointError as error:
            what = f"the weights of {ref} that transformers makes of several tensors"
            raise _without_room(error, what) or error from error
        index = _index_of(model)
        _must_hold(dtype, _stored(index, folder), ref)
        _map(model, index, ref)
    return model


def spilled(weight: Tensor) -> Tensor:
    """The same numbers as a map of a file without a name, so that they take no memory."""
    content: Any = weight.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    with tempfile.TemporaryDirectory(prefix="aftertune-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "weight"
        try:
            content.tofile(file)  # as it lies there: safetensors makes a copy first
        except OSError as error:
            raise _no_room("changed weights") from error
        found = torch.from_file(str(file), shared=False, size=weight.numel(), dtype=weight.dtype)
    return found.reshape(weight.shape)


def map_of(file: str, name: str) -> Tensor:
    """A tensor of a safetensors file, as a private map of it."""
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        found: Tensor = opened.get_tensor(name)
    return found


def _without_room(error: Exception, what: str) -> CheckpointError | None:
    """That what has to be written found no room, if that is what an error says."""
    return _no_room(what) if NO_SPACE in str(error) else None


def _no_room(what: str) -> CheckpointError:
    return CheckpointError(
        f"There is no room in {tempfile.gettempdir()} for {what}. Free some, or name another folder by TMPDIR."
    )


def hooks_of(module: nn.Module) -> Sequence[Any]:
    """The hooks that accelerate put on a module."""
    hook = getattr(module, "_hf_hook", None)
    found: Sequence[Any] = getattr(hook, "hooks", () if hook is None else (hook,))
    return found


def _index_of(model: nn.Module) -> Index:
    """Where each parameter of an offloaded model lies, as accelerate's hooks know it."""
    for module in model.modules():
        for one in hooks_of(module):
            weights = getattr(one, "weights_map", None)
            if weights is not None:
                found: Index = getattr(weights, "dataset", weights).index
                return found
    raise CheckpointError("The weights could not be left on disk: accelerate does not say where they lie. Update it.")


def _stored(index: Index, folder: str) -> set[torch.dtype]:
    """The dtypes of the numbers in a checkpoint's own files."""
    from safetensors import safe_open

    found: set[torch.dtype] = set()
    for file in {one["safetensors_file"] for one in index.values()}:
        if not file.startswith(folder):
            with safe_open(file, "pt") as opened:
                kinds = {opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
                found |= {DTYPES[kind] for kind in kinds if kind in DTYPES}
    return found


def _holds(dtype: torch.dtype, other: torch.dtype) -> bool:
    """Whether every number of another dtype is one of this too."""
    return torch.promote_types(dtype, other) == dtype


def _must_hold(dtype: torch.dtype, stored: Iterable[torch.dtype], ref: str) -> None:
    for kind in stored:
        if not _holds(dtype, kind) or (dtype == torch.float64 and kind != dtype):  # readers make float32 of half
            own, asked = (str(one).removeprefix("torch.") for one in (kind, dtype))
            advice = "float32" if kind != torch.float64 else own
            raise CheckpointError(
                f"The weights of {ref} lie on disk in {own}, where they stay as they are: they can't be read in "
                f"{asked}. Give --dtype {advice}, or another device than {ON_DISK!r}."
            )


def _map(model: PreTrainedModel, index: Index, ref: str) -> None:
    """Put maps of files into the places of parameters without numbers, the same map where two are one tensor."""
    from accelerate.hooks import remove_hook_from_submodules
    from safetensors import safe_open

    remove_hook_from_submodules(model)
    for name in LEFT_BEHIND:
        vars(model).pop(name, None)
    tied: Mapping[str, str] = model.all_tied_weights_keys
    made: dict[tuple[str, str], nn.Parameter] = {}
    with ExitStack() as stack:
        opened: dict[str, Any] = {}
        for name, empty in list(model.named_parameters(remove_duplicate=False)):
            one = index.get(name) or index[tied[name]]  # of what was written, the first name alone
            file, key = one["safetensors_file"], one["weight_name"]
            if file not in opened:
                opened[file] = stack.enter_context(safe_open(file, "pt"))
            if (file, key) not in made:
                made[file, key] = mark_mapped(nn.Parameter(opened[file].get_tensor(key), requires_grad=False))
            if made[file, key].shape != empty.shape:
                raise CheckpointError(
                    f"The weights of {ref} do not fit its configuration: {name} is {tuple(made[file, key].shape)}, "
                    f"not {tuple(empty.shape)}. Give a checkpoint whose weights fit its configuration."
                )
            owner, _, leaf = name.rpartition(".")
            module = model.get_submodule(owner)
            module._parameters[leaf] = made[file, key]
            compute_at(module, getattr(torch, one["dtype"]))
