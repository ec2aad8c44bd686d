"""From a name to a frozen model with its tokenizer and its provenance.

1. Find out what the reference is: a live model, a ``.gguf`` file, a local folder, or a hub id (`references`).
2. Read the configuration first, and refuse an unknown architecture before any weight is read; then the tokenizer.
3. Read the weights; a weight that is missing, has another shape, has no place in a layer, or is not finite is an
   error, not a warning.
4. Merge the adapter if there is one, so that every explainer sees plain weights.
5. Fingerprint the weights as they will be used.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from aftertune.errors import CheckpointError
from aftertune.models.adapters import merge_adapter
from aftertune.models.families import Family, find_family
from aftertune.models.fingerprint import fingerprint, versions
from aftertune.models.quiet import quiet
from aftertune.models.references import Source, find_adapter, find_checkpoint
from aftertune.runs.provenance import Provenance

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
IN_LAYER = re.compile(r"\b(layers|h)\.\d+\.")
DEVICE = re.compile(r"cpu|cuda(:\d+)?|mps")


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
    place, kind = chosen_device(device), chosen_dtype(dtype)
    source = find_checkpoint(str(ref), revision)
    shared = {"trust_remote_code": trust_remote_code, "revision": revision, **source.arguments}
    with quiet():
        config = _read_config(ref, source, shared)
        shared["config"] = config  # else each reader parses it again, which for a GGUF file takes seconds
        tokenizer = tokenizer or _read_tokenizer(ref, source, shared)
        model = _read_weights(ref, source, {**shared, "dtype": kind, "device_map": _device_map(place)})
        if "gguf_file" in source.arguments:
            model = _without_quantisation_mark(model, config, kind)
        if adapter is not None:
            model = merge_adapter(model, str(adapter))
    if place != "balanced":
        model.to(place)
    model.eval().requires_grad_(False)
    return _checked(model, tokenizer, _name(str(ref)), revision, adapter)


def must_be_loadable(
    ref: str | Path,
    adapter: str | Path | None = None,
    revision: str | None = None,
    *,
    trust_remote_code: bool = False,
) -> Any:
    """Raise the `CheckpointError` that `load` would raise for what can be told without reading any weight.

    That the checkpoint and its adapter are there, and that the architecture is known; then its configuration is
    returned. Of a GGUF file, which takes seconds to parse, only that it is there, and None.
    """
    source = find_checkpoint(str(ref), revision)
    if adapter is not None:
        find_adapter(str(adapter))
    if "gguf_file" in source.arguments:
        return None
    with quiet():
        return _read_config(ref, source, {"trust_remote_code": trust_remote_code, "revision": revision})


def read_tokenizer(
    ref: str | Path, revision: str | None = None, *, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint (see `load`) without its weights; raises `CheckpointError` if there is none."""
    source = find_checkpoint(str(ref), revision)
    shared = {"trust_remote_code": trust_remote_code, "revision": revision, **source.arguments}
    with quiet():
        return _read_tokenizer(ref, source, shared)


def _name(ref: str) -> str:
    path = Path(ref).expanduser()
    return path.resolve().name.removesuffix(".gguf") if path.exists() else ref


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


def _read_config(ref: Any, source: Source, shared: dict[str, Any]) -> Any:
    if "gguf_file" not in source.arguments:
        # AutoConfig says of a kind it has never heard of only that it is new; ours says which are known.
        raw, _ = _read("configuration", ref, source, PreTrainedConfig.get_config_dict, **shared)
        find_family(SimpleNamespace(model_type=raw.get("model_type") if isinstance(raw, dict) else None))
    config = _read("configuration", ref, source, AutoConfig.from_pretrained, **shared)
    find_family(config)
    return config


def _read_tokenizer(ref: Any, source: Source, shared: dict[str, Any]) -> PreTrainedTokenizerBase:
    folder = Path(source.place)
    if folder.is_dir() and not source.arguments and not any(folder.glob("*token*")) and not any(folder.glob("vocab*")):
        raise CheckpointError(
            f"The folder {ref} holds no tokenizer (no tokenizer.json). Save the model's own there, by save_pretrained."
        )
    tokenizer: PreTrainedTokenizerBase = _read("tokenizer", ref, source, AutoTokenizer.from_pretrained, **shared)
    return tokenizer


def _read_weights(ref: Any, source: Source, arguments: dict[str, Any]) -> PreTrainedModel:
    told = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # so that we name them, in one line
    model: PreTrainedModel
    model, found = _read("weights", ref, source, AutoModelForCausalLM.from_pretrained, **told, **arguments)
    absent, misshapen = sorted(found["missing_keys"]), sorted(str(key[0]) for key in found["mismatched_keys"])
    # Heads that this model has not are harmless; a weight too many in a layer means another configuration.
    extra = sorted(key for key in found["unexpected_keys"] if IN_LAYER.search(key) and not key.endswith("masked_bias"))
    if absent or misshapen or extra:
        raise CheckpointError(
            f"The weights of {ref} do not fit its configuration: {len(absent)} missing, {len(misshapen)} of another "
            f"shape, {len(extra)} without a place (first: {(absent + misshapen + extra)[0]}). {source.remedy}"
        )
    return model


def _read(what: str, ref: Any, source: Source, reader: Any, **arguments: Any) -> Any:
    try:
        return reader(source.place, **arguments)
    except Exception as error:  # each library below has its own exceptions; all of them mean that it can't be read
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CheckpointError(
            f"The {what} of {ref} could not be read: {reason.strip().rstrip('.')}. {source.remedy}"
        ) from error


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


def chosen_device(device: str) -> str:
    """The device that a setting stands for ("auto" is CUDA, else the CPU); `CheckpointError` if it can't be used."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "balanced":
        return device
    try:
        if not DEVICE.fullmatch(device):
            raise RuntimeError("it is not one of those allowed")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = re.split(r"\.\s|\n", str(error))[0].rstrip(".")
        raise CheckpointError(
            f"The device {device!r} can't be used here: {reason}. Allowed: auto, cpu, cuda, cuda:N, mps, balanced."
        ) from error
    return device


def _device_map(device: str) -> str | None:
    return "balanced" if device == "balanced" else None


def chosen_dtype(dtype: str) -> torch.dtype:
    """The type that a setting names; raises `CheckpointError` for another."""
    if dtype not in DTYPES:
        raise CheckpointError(f"The dtype {dtype!r} is not known. Allowed: {', '.join(DTYPES)}.")
    return DTYPES[dtype]
