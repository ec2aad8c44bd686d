"""The configuration, the tokenizer and the weights of a source, each read by Hugging Face and checked.

A weight that is missing, has another shape or has no place in a layer is an error, not a warning. What is quantised is
dequantised.
"""

import re
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

from aftertune.errors import CheckpointError, translated
from aftertune.models.architectures import find_description, must_be_known
from aftertune.models.description import Description
from aftertune.models.files.gguf import read_once
from aftertune.models.files.gguf_parsed import for_transformers
from aftertune.models.files.limits import must_be_buildable, must_hold_its_layers, must_not_exceed
from aftertune.models.files.quantised import dequantised, dequantising, must_be_readable
from aftertune.models.files.references import Source, find_checkpoint
from aftertune.models.files.weights import wrapper_names
from aftertune.prompts.template_head import must_be_template

IN_LAYER = re.compile(r"\b(layers|h)\.\d+\.")
Place = str | Path


def read_config(
    ref: Any, source: Source, shared: dict[str, Any], described: Description | None
) -> tuple[Any, Description]:
    """The configuration, and the description of its architecture: the one given, or the one found."""
    if not source.is_gguf:
        raw, _ = _read("configuration", ref, source, PreTrainedConfig.get_config_dict, **shared)
        raw = raw if isinstance(raw, dict) else {}
        if described is None:
            # AutoConfig says of a kind it has never heard of only that it is new; ours says which are known.
            must_be_known(raw, shared["trust_remote_code"])
        must_be_buildable(raw, str(ref), source.remedy)
    else:
        must_hold_its_layers(Path(source.place) / source.arguments["gguf_file"], str(ref), source.remedy)
    config = _read("configuration", ref, source, AutoConfig.from_pretrained, **shared)
    if not source.is_gguf:
        must_be_readable(config, str(ref))
    return config, described or find_description(config, trust_remote_code=shared["trust_remote_code"])


def has_tokenizer(source: Source) -> bool:
    """Whether a source may hold a tokenizer; of a hub id only its reader can tell."""
    folder = Path(source.place)
    return not folder.is_dir() or source.is_gguf or any(folder.glob("*token*")) or any(folder.glob("vocab*"))


def read_own_tokenizer(
    ref: Any, source: Source, shared: dict[str, Any], spare: Place | None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a source, or that of another place for a source without one."""
    if not has_tokenizer(source):
        if spare is None:
            raise CheckpointError(
                f"The folder {ref} holds no tokenizer (no tokenizer.json). Save the model's own there, by "
                "save_pretrained, or name the place of one (tokenizer), such as the base's."
            )
        return read_tokenizer_at(spare, shared["trust_remote_code"])
    tokenizer: PreTrainedTokenizerBase = _read("tokenizer", ref, source, AutoTokenizer.from_pretrained, **shared)
    must_be_template(tokenizer.chat_template, str(ref))
    return tokenizer


def read_tokenizer_at(place: Place, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id that need not hold a model."""
    source = find_checkpoint(str(place), needs_model=False)
    shared = {"trust_remote_code": trust_remote_code, **source.arguments}
    tokenizer: PreTrainedTokenizerBase = _read("tokenizer", place, source, AutoTokenizer.from_pretrained, **shared)
    must_be_template(tokenizer.chat_template, str(place))
    return tokenizer


def read_weights(ref: Any, source: Source, config: Any, arguments: dict[str, Any]) -> PreTrainedModel:
    """The model with its weights, as plain numbers of one dtype."""
    # What does not fit is asked for, so that we name it, in one line.
    told: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    folder = Path(source.place)
    if folder.is_dir() and not source.is_gguf:
        told |= {"key_mapping": wrapper_names(folder)}
        must_not_exceed(config, folder, str(ref), source.remedy, arguments.get("trust_remote_code", False))
    model: PreTrainedModel
    held = arguments.get("quantization_config")  # in fewer bits than the files have, because that was asked for
    told |= {} if source.is_gguf or held else dequantising(config)
    model, found = _read("weights", ref, source, AutoModelForCausalLM.from_pretrained, **told, **arguments)
    absent, misshapen = sorted(found["missing_keys"]), sorted(str(key[0]) for key in found["mismatched_keys"])
    # Heads that this model has not are harmless; a weight too many in a layer means another configuration.
    extra = sorted(key for key in found["unexpected_keys"] if IN_LAYER.search(key) and not key.endswith("masked_bias"))
    if absent or misshapen or extra:
        raise CheckpointError(
            f"The weights of {ref} do not fit its configuration: {len(absent)} missing, {len(misshapen)} of another "
            f"shape, {len(extra)} without a place (first: {(absent + misshapen + extra)[0]}). {source.remedy}"
        )
    if source.is_gguf:
        return _without_quantisation_mark(model, config, arguments["dtype"])
    return model if held else dequantised(model, config, arguments["dtype"])


def _read(what: str, ref: Any, source: Source, reader: Any, **arguments: Any) -> Any:
    name = source.arguments.get("gguf_file")
    with translated(CheckpointError, f"The {what} of {ref} could not be read", source.remedy):
        if name is None:
            return reader(source.place, **arguments)
        how = (what, arguments.get("dtype"), arguments.get("device_map"))

        def read() -> Any:
            with for_transformers():
                return reader(source.place, **arguments)

        return read_once(Path(source.place) / name, *how, read=read)


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
