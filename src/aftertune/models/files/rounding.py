"""How large is rounding alone?  Weights that are stored in 4 or 8 bit differ by that from those they came from.

1. How a checkpoint's weights are stored: the configuration says it, or the header of a GGUF file, in which the kind of
   most weights counts.
2. Weights of another checkpoint are rounded the same way, and not changed: ||W - rounded W|| / ||W|| over matrices of
   its layers, spread evenly. Rounding of some kinds can only be undone here, not made (K-quants of GGUF).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aftertune.models.files.gguf import read_once
from aftertune.models.files.gguf_header import must_fit_its_file
from aftertune.models.files.gguf_parsed import parsed
from aftertune.models.files.quantised import BITSANDBYTES, bits_of, kind_of, quantised_by
from aftertune.models.files.references import find_checkpoint
from aftertune.models.loaded import Checkpoint

PLAIN = {"F64", "F32", "F16", "BF16"}
GGUF = "GGUF"
MOST_NUMBERS = 50_000_000
INT8 = 127


@dataclass(frozen=True)
class Storage:
    """How weights are stored in fewer bits: by which method, and which ``kind`` of it ("Q4_1", "nf4", "8 bit")."""

    method: str
    kind: str

    def __str__(self) -> str:
        return f"{self.method} {self.kind}".strip()


def storage_of(ref: str | Path, config: Any, revision: str | None = None) -> Storage | None:
    """How the weights of a checkpoint are stored; None where they are plain numbers. ``config`` None: a GGUF file."""
    if config is not None:
        method = quantised_by(config)
        return None if method is None else Storage(method, kind_of(config) or bits_of(config))
    source = find_checkpoint(str(ref), revision)
    file = Path(source.place) / source.arguments["gguf_file"]
    kind: str = read_once(file, "storage", read=lambda: _most_frequent(file))
    return None if kind in PLAIN else Storage(GGUF, kind)


def rounding_of(checkpoint: Checkpoint, storage: Storage) -> float | None:
    """How far rounding moves a checkpoint's weights, ||W - rounded|| / ||W||; None where that can't be made here."""
    moved = whole = 0.0
    for weight in _matrices(checkpoint):
        plain = weight.detach().float().cpu()
        rounded = _rounded(plain, storage)
        if rounded is None:
            return None
        moved += float((rounded - plain).double().square().sum())
        whole += float(plain.double().square().sum())
    return (moved / whole) ** 0.5 if whole else None


def _matrices(checkpoint: Checkpoint) -> Iterator[Tensor]:
    """Matrices of the layers, spread evenly, of so many numbers in all."""
    start = f"{checkpoint.description.backbone}.{checkpoint.description.layers}."
    found = [one for name, one in checkpoint.model.named_parameters() if name.startswith(start) and one.ndim == 2]
    step = max(1, -(-sum(one.numel() for one in found) // MOST_NUMBERS))
    yield from found[::step]


def _rounded(weight: Tensor, storage: Storage) -> Tensor | None:
    if storage.method == GGUF:
        return _as_gguf(weight, storage.kind)
    if storage.method != BITSANDBYTES:
        return None
    if storage.kind == "8 bit":
        scale = weight.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / INT8
        return (weight / scale).round() * scale
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    codes, state = quantize_4bit(weight, quant_type=storage.kind)
    found: Tensor = dequantize_4bit(codes, state)
    return found.to(weight)


def _as_gguf(weight: Tensor, kind: str) -> Tensor | None:
    from gguf import GGMLQuantizationType
    from gguf.quants import QuantError, dequantize, quantize

    try:
        codes = quantize(weight.numpy(), GGMLQuantizationType[kind])
    except (NotImplementedError, QuantError):
        return None
    return torch.from_numpy(dequantize(codes, GGMLQuantizationType[kind])).reshape(weight.shape)


def _most_frequent(file: Path) -> str:
    """The kind in which most numbers of a GGUF file's layers are stored."""
    counts: Counter[str] = Counter()
    must_fit_its_file(file)
    for tensor in parsed(file).tensors:
        if tensor.name.startswith("blk."):
            counts[tensor.tensor_type.name] += int(tensor.n_elements)
    return counts.most_common(1)[0][0] if counts else "F32"
