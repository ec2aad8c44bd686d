"""From a name to a frozen model with its tokenizer and its provenance.

1. Find out what the reference is: a live model, a ``.gguf`` file, a local folder, or a hub id (`references`).
2. Read the configuration first, and refuse an architecture that can't be described before any weight is read; then
   the tokenizer.
3. Read the weights; a weight that is missing, has another shape, has no place in a layer, or is not finite is an
   error, not a warning.
4. Merge the adapter if there is one, so that every explainer sees plain weights.
5. Fingerprint the weights as they will be used.
6. Check a description that is not one of the table on what the model computes (`proof`).
"""

import re
from dataclasses import replace
from pathlib import Path
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
from aftertune.models.adapters.live import is_wrapped, merged_copy
from aftertune.models.adapters.merge import merge_adapter
from aftertune.models.architectures import ARCHITECTURES, find_description, must_be_known, text_config, text_part
from aftertune.models.chat_templates import with_template_of
from aftertune.models.description import Architecture, Description, read_description
from aftertune.models.files.gguf import read_once
from aftertune.models.files.quantised import must_have_plain_weights
from aftertune.models.files.references import Source, find_adapter, find_checkpoint
from aftertune.models.fingerprint import fingerprint, versions
from aftertune.models.loaded import Checkpoint as Checkpoint
from aftertune.models.loaded import rule_of
from aftertune.models.machine import chosen_device as chosen_device
from aftertune.models.machine import chosen_dtype as chosen_dtype
from aftertune.models.proof import prove
from aftertune.models.temporary_state import quiet
from aftertune.runs.provenance import Provenance

IN_LAYER = re.compile(r"\b(layers|h)\.\d+\.")


def load(
    ref: str | Path | PreTrainedModel,
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    revision: str | None = None,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    trust_remote_code: bool = False,
    architecture: Architecture | None = None,
) -> Checkpoint:
    """Load a checkpoint for explanation.

    ``ref`` is a hub id, a local folder, a ``.gguf`` file, or a transformers model that is already in memory (which
    then needs its ``tokenizer`` and is left as it was; of one with adapters inside, PEFT's wrapper too, a copy is taken
    in which they are merged). ``adapter`` is a PEFT LoRA adapter (folder or hub id), merged into the weights; a chat
    template that was saved with it takes the place of the model's.
    ``device`` is "auto" (CUDA, else CPU), "cpu", "cuda", "cuda:1", "mps", or "balanced" (spread over all GPUs by
    accelerate); ``dtype`` one of float32, bfloat16, float16, float64.

    An architecture that Aftertune does not know by name is told by its structure, where its layers are built like
    Llama's. ``architecture`` describes one that is not: a mapping, or a JSON or YAML file of one, with the fields of
    `aftertune.models.description.Description`; those that are left out are Llama's. Either description must give back
    what the model computes: its logits, and in a few layers queries, keys and what the feed-forward network writes. Of
    a model with images or sound the part that reads text is taken.

    Raises `CheckpointError` if anything of it is missing, damaged, of an architecture that can't be described, or does
    not fit.
    """
    described = None if architecture is None else read_description(architecture)
    if is_wrapped(ref):
        return _adopt(merged_copy(ref), tokenizer, adapter, described)
    if isinstance(ref, PreTrainedModel):
        return _adopt(ref, tokenizer, adapter, described)
    place, kind = chosen_device(device), chosen_dtype(dtype)
    source = find_checkpoint(str(ref), revision)
    shared = {"trust_remote_code": trust_remote_code, "revision": revision, **source.arguments}
    with quiet():
        config, described = _read_config(ref, source, shared, described)
        shared["config"] = config  # else each reader parses it again, which for a GGUF file takes seconds
        tokenizer = tokenizer or with_template_of(_read_tokenizer(ref, source, shared), adapter)
        model = _read_weights(ref, source, {**shared, "dtype": kind, "device_map": _device_map(place)})
        if "gguf_file" in source.arguments:
            model = _without_quantisation_mark(model, config, kind)
        if adapter is not None:
            model = merge_adapter(model, str(adapter))
        model = text_part(model)
    if place != "balanced":
        model.to(place)
    model.eval().requires_grad_(False)
    return _checked(model, tokenizer, described, _name(str(ref)), revision, adapter)


def must_be_loadable(
    ref: str | Path,
    adapter: str | Path | None = None,
    revision: str | None = None,
    *,
    trust_remote_code: bool = False,
    architecture: Architecture | None = None,
) -> Any:
    """Raise the `CheckpointError` that `load` would raise for what can be told without reading any weight.

    That the checkpoint and its adapter are there, and that the architecture can be described; then its configuration
    is returned, of a model with images or sound that of the part that reads text. Of a GGUF file, which takes seconds
    to parse, only that it is there, and None.
    """
    described = None if architecture is None else read_description(architecture)
    source = find_checkpoint(str(ref), revision)
    if adapter is not None:
        find_adapter(str(adapter))
    if "gguf_file" in source.arguments:
        return None
    with quiet():
        shared = {"trust_remote_code": trust_remote_code, "revision": revision}
        return text_config(_read_config(ref, source, shared, described)[0])


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


def _adopt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    adapter: str | Path | None,
    described: Description | None,
) -> Checkpoint:
    if tokenizer is None:
        raise CheckpointError("A model in memory needs its tokenizer: load(model, tokenizer=tokenizer).")
    if adapter is not None:
        raise CheckpointError(
            "An adapter can't be merged into your model in memory, which is left as it is. "
            "Give the model's folder or hub id with the adapter, or merge it yourself."
        )
    name = model.config.name_or_path or type(model).__name__
    part = text_part(model)
    return _checked(part, tokenizer, described or find_description(part.config, part), name, None, None)


def _checked(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    described: Description,
    name: str,
    revision: str | None,
    adapter: str | Path | None,
) -> Checkpoint:
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
    checkpoint = Checkpoint(model, tokenizer, provenance, described, rule_of(model.config))
    return checkpoint if described in ARCHITECTURES.values() else replace(checkpoint, logit_rule=prove(checkpoint))


def _read_config(
    ref: Any, source: Source, shared: dict[str, Any], described: Description | None
) -> tuple[Any, Description]:
    """The configuration, and the description of its architecture: the one given, or the one found."""
    if "gguf_file" not in source.arguments and described is None:
        # AutoConfig says of a kind it has never heard of only that it is new; ours says which are known.
        raw, _ = _read("configuration", ref, source, PreTrainedConfig.get_config_dict, **shared)
        must_be_known(raw if isinstance(raw, dict) else {}, shared["trust_remote_code"])
    config = _read("configuration", ref, source, AutoConfig.from_pretrained, **shared)
    if "gguf_file" not in source.arguments:
        must_have_plain_weights(config, str(ref))
    return config, described or find_description(config, trust_remote_code=shared["trust_remote_code"])


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
    name = source.arguments.get("gguf_file")
    try:
        if name is None:
            return reader(source.place, **arguments)
        how = (what, arguments.get("dtype"), arguments.get("device_map"))
        return read_once(Path(source.place) / name, *how, read=lambda: reader(source.place, **arguments))
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


def _device_map(device: str) -> str | None:
    return "balanced" if device == "balanced" else None
