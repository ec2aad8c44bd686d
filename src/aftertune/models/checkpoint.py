"""From a name to a frozen model with its tokenizer and its provenance.

1. Find out what the reference is: a live model, a ``.gguf`` file, a local folder, or a hub id.
2. Read the configuration first, and refuse an unknown architecture before any weight is read.
3. Read the weights; a weight that is missing, has another shape, or is not finite is an error, not a warning.
4. Merge the adapter if there is one, so that every explainer sees plain weights.
5. Fingerprint the weights as they will be used.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from aftertune.errors import CheckpointError
from aftertune.models.adapters import merge_adapter
from aftertune.models.families import Family, find_family
from aftertune.models.fingerprint import fingerprint, versions
from aftertune.models.quiet import quiet
from aftertune.results.provenance import Provenance

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A frozen causal language model, its tokenizer, and where they come from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    provenance: Provenance

    @property
    def family(self) -> Family:
        """The architecture's row in the table of families."""
        return find_family(self.model.config)

    @property
    def context_length(self) -> int | None:
        """Most tokens that the model takes; None where its configuration sets no limit."""
        return getattr(self.model.config, "max_position_embeddings", None)


@dataclass(frozen=True)
class Source:
    """What a reference turned out to be: the place that Hugging Face reads from, and a GGUF file in it."""

    place: str
    arguments: dict[str, Any]


def load(
    ref: str | Path | PreTrainedModel,
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    revision: str | None = None,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    trust_remote_code: bool = False,
) -> Checkpoint:
    """Load a checkpoint for explanation.

    ``ref`` is a hub id, a local folder, a ``.gguf`` file, or a transformers model that is already in memory (which
    then needs its ``tokenizer``, is taken as it is and left as it was). ``adapter`` is a PEFT LoRA adapter (folder
    or hub id), merged into the weights. ``device`` is "auto" (CUDA, else CPU), "cpu", "cuda", "cuda:1", "mps", or
    "balanced" (spread over all GPUs by accelerate); ``dtype`` one of float32, bfloat16, float16, float64.

    Raises `CheckpointError` if anything of it is missing, damaged, of an unknown architecture, or does not fit.
    """
    if isinstance(ref, PreTrainedModel):
        return _adopt(ref, tokenizer, adapter)
    place, kind = _device(device), _dtype(dtype)
    source = _find(str(ref))
    shared = {"trust_remote_code": trust_remote_code, "revision": revision, **source.arguments}
    with quiet():
        config = _read("configuration", ref, AutoConfig.from_pretrained, source.place, **shared)
        find_family(config)
        shared["config"] = config  # else each reader parses it again, which for a GGUF file takes seconds
        model = _read_weights(ref, source.place, {**shared, "dtype": kind, "device_map": _device_map(place)})
        if "gguf_file" in source.arguments:
            model = _without_quantisation_mark(model, config, kind)
        if adapter is not None:
            model = merge_adapter(model, str(adapter))
        tokenizer = tokenizer or _read("tokenizer", ref, AutoTokenizer.from_pretrained, source.place, **shared)
    if place != "balanced":
        model.to(place)
    model.eval().requires_grad_(False)
    return _checked(model, tokenizer, Path(str(ref)).name if Path(str(ref)).exists() else str(ref), revision, adapter)


def _adopt(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, adapter: str | Path | None) -> Checkpoint:
    if tokenizer is None:
        raise CheckpointError("A model in memory needs its tokenizer: load(model, tokenizer=tokenizer).")
    if adapter is not None:
        raise CheckpointError(
            "An adapter can't be merged into your model in memory, which is left as it is. "
            "Give the model's folder or hub id with the adapter, or merge it yourself."
        )
    return _checked(model, tokenizer, model.config.name_or_path or type(model).__name__, None, None)


def _checked(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    revision: str | None,
    adapter: str | Path | None,
) -> Checkpoint:
    find_family(model.config)
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"The tokenizer of {name} ({type(tokenizer).__name__}) gives no character offsets. "
            "Use a checkpoint with a fast tokenizer (tokenizer.json)."
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise CheckpointError(
            f"The tokenizer of {name} has {len(tokenizer)} tokens, its embedding only {rows} rows. "
            "They belong to different models; give the tokenizer that the model was trained with."
        )
    provenance = Provenance(
        name=name if adapter is None else f"{name} + {Path(str(adapter)).name}",
        revision=revision or getattr(model.config, "_commit_hash", None),
        adapter=None if adapter is None else Path(str(adapter)).name,
        architecture=model.config.model_type,
        n_parameters=sum(p.numel() for p in model.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        device=str(model.device),
        fingerprint=fingerprint(model, name),
        versions=versions(),
    )
    return Checkpoint(model, tokenizer, provenance)


def _find(ref: str) -> Source:
    path = Path(ref).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise CheckpointError(f"There is no file {ref}. Give the path of a .gguf file, a folder, or a hub id.")
        return Source(str(path.parent), {"gguf_file": path.name})
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise CheckpointError(
                f"The folder {ref} holds no model (no config.json). Give a folder of save_pretrained."
            )
        return Source(str(path), {})
    if path.is_file():
        raise CheckpointError(f"{ref} is a file, not a checkpoint. Give a folder, a .gguf file, or a hub id.")
    if ref.count("/") > 1 or ref.startswith((".", "/", "~")) or not ref.strip():
        raise CheckpointError(f"There is no folder {ref!r}. Give a folder, a .gguf file, or a hub id (owner/name).")
    return Source(ref, {})


def _read(what: str, ref: Any, reader: Any, place: str, **arguments: Any) -> Any:
    try:
        return reader(place, **arguments)
    except Exception as error:  # each library below has its own exceptions; all of them mean that it can't be read
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CheckpointError(
            f"The {what} of {ref} could not be read: {reason} "
            "Give a hub id that can be reached, or a whole folder or .gguf file."
        ) from error


def _read_weights(ref: Any, place: str, arguments: dict[str, Any]) -> PreTrainedModel:
    reader = AutoModelForCausalLM.from_pretrained
    model, found = _read("weights", ref, reader, place, output_loading_info=True, **arguments)
    absent, misshapen = sorted(found["missing_keys"]), sorted(str(key) for key in found["mismatched_keys"])
    if absent or misshapen:
        raise CheckpointError(
            f"The weights of {ref} do not fit its configuration: {len(absent)} missing, {len(misshapen)} of another "
            f"shape (first: {(absent + misshapen)[0]}). Download or save the checkpoint again."
        )
    return model


def _without_quantisation_mark(model: PreTrainedModel, config: Any, dtype: torch.dtype) -> PreTrainedModel:
    # A model read from GGUF counts as quantised, and then refuses casts and save_pretrained.
    state = model.state_dict()
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config, dtype=dtype)
    plain.to_empty(device="cpu")
    plain.load_state_dict(state)
    plain.tie_weights()
    for name, buffer in model.named_buffers():
        plain.get_buffer(name).copy_(buffer)
    plain.generation_config = model.generation_config
    return plain


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "balanced":
        return device
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(
            f"The device {device!r} can't be used here: {str(error).splitlines()[0]} "
            "Allowed: auto, cpu, cuda, cuda:N, mps, balanced."
        ) from error
    return device


def _device_map(device: str) -> str | None:
    return "balanced" if device == "balanced" else None


def _dtype(dtype: str) -> torch.dtype:
    if dtype not in DTYPES:
        raise CheckpointError(f"The dtype {dtype!r} is not known. Allowed: {', '.join(DTYPES)}.")
    return DTYPES[dtype]
