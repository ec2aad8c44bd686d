"""Do the files of weights in a folder hold together?  Told from their headers, before any weight is read.

1. There must be a file of weights, or an index and all shards that it names.
2. None may be empty, cut short, or the pointer that Git LFS leaves where a file was not downloaded.
3. No tensor may be without numbers: DeepSpeed's ZeRO-3 leaves such where weights were not gathered before saving.
4. Names may be those of a model that was wrapped (``torch.compile``, distributed training): the wrapper's part is
   taken off.
"""

import json
import re
from pathlib import Path

import torch

from aftertune.errors import CheckpointError, translated

INDEX = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE = ("model.safetensors", "pytorch_model.bin")
LFS = b"version https://git-lfs"
WRAPPED = re.compile(r"^(_orig_mod\.|module\.)+")
AGAIN = "Download or save the checkpoint again, or give another."
Shapes = dict[str, tuple[int, ...]]


def wrapper_names(folder: Path) -> dict[str, str] | None:
    """How the names of a folder's weights have to be changed, as transformers takes it; None where they are plain."""
    shapes = [name for file in files_of_weights(folder) for name in shapes_in(file)]
    return {WRAPPED.pattern: ""} if shapes and all(map(WRAPPED.match, shapes)) else None


def must_hold_weights(folder: Path, ref: str) -> Shapes:
    """The shapes of all tensors; raises `CheckpointError` for a folder without weights, or with files that can't be
    read.
    """
    files = files_of_weights(folder)
    if not files:
        raise CheckpointError(f"The folder {ref} holds no weights. {_where_they_are(folder)}")
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise CheckpointError(
            f"The index of {ref} names {len(files)} files of weights, of which {len(absent)} "
            f"{'is' if len(absent) == 1 else 'are'} missing ({', '.join(absent[:3])}). {AGAIN}"
        )
    found: Shapes = {}
    for file in files:
        found |= must_be_whole(file, f"{ref}/{file.name}")
    return found


def must_be_whole(file: Path, name: str) -> Shapes:
    """The shapes in a file of weights; raises `CheckpointError` for one that is cut short or holds no numbers."""
    with file.open("rb") as opened:
        start = opened.read(len(LFS))
    if not start:
        raise CheckpointError(f"The file {name} is empty. {AGAIN}")
    if start == LFS:
        raise CheckpointError(
            f"The file {name} is a pointer of Git LFS; the weights themselves were not downloaded. Run: git lfs pull."
        )
    with translated(CheckpointError, f"The file {name} could not be read", AGAIN):
        shapes = shapes_in(file)
    empty = [key for key, shape in shapes.items() if 0 in shape]
    if empty:
        raise CheckpointError(
            f"{len(empty)} of {len(shapes)} weights in {name} hold no numbers (first: {empty[0]}): they were saved "
            "while DeepSpeed's ZeRO-3 had them in parts. Gather them (zero_to_fp32.py beside the checkpoint, or "
            "stage3_gather_16bit_weights_on_model_save) and give what that writes."
        )
    return shapes


def shapes_in(file: Path) -> Shapes:
    """The names and shapes of a file's tensors, without their numbers."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, "pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    try:
        found = torch.load(file, map_location="meta", weights_only=True, mmap=True)
    except RuntimeError:  # of before PyTorch 1.6, which can't be mapped
        found = torch.load(file, map_location="meta", weights_only=True)
    return {name: tuple(one.shape) for name, one in found.items() if isinstance(one, torch.Tensor)}


def files_of_weights(folder: Path) -> list[Path]:
    """The files of weights that transformers would read, missing ones of an index among them."""
    for single, index in zip(SINGLE, INDEX, strict=True):
        if (folder / single).is_file():
            return [folder / single]
        if (folder / index).is_file():
            return [folder / name for name in _shards(folder / index)]
    return []


def _shards(index: Path) -> list[str]:
    with translated(CheckpointError, f"The index {index} can't be read", AGAIN):
        return sorted({str(one) for one in json.loads(index.read_text("utf-8"))["weight_map"].values()})


def _where_they_are(folder: Path) -> str:
    """What to do, by what lies there in their place."""
    if any(folder.glob("pytorch_model_fsdp*")) or any(folder.glob("**/*.distcp")):
        part = next(iter(sorted(folder.glob("pytorch_model_fsdp*"))), folder)
        return f"It holds parts of FSDP. Join them: accelerate merge-weights {part} OUTPUT, and give OUTPUT."
    if (folder / "zero_to_fp32.py").is_file() or any(folder.glob("global_step*")):
        return "It holds parts of DeepSpeed. Join them: python zero_to_fp32.py . OUTPUT there, and give OUTPUT."
    gguf = sorted(folder.glob("*.gguf"))
    if gguf:
        return f"Give its file {gguf[0].name}."
    if any(folder.glob("consolidated*")):
        return "It holds weights in their maker's own form (consolidated). Give the same model in Hugging Face's form."
    return AGAIN
