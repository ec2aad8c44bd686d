"""Checkpoints whose files hold codes instead of weights: told from the configuration, before anything is read.

To subtract codes, or to read them without their scales, gives numbers that mean nothing. Those of
bitsandbytes and compressed-tensors are dequantised where these packages are installed, and FP8 always: each weight
becomes its code times its scale. Others are refused.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, FineGrainedFP8Config, PreTrainedModel

from aftertune.errors import CheckpointError

BITSANDBYTES, COMPRESSED = "bitsandbytes", "compressed-tensors"
DEQUANTISED_ON_LOAD = {"mxfp4", "fp8", COMPRESSED}  # transformers makes weights of these while it reads them
PACKAGES = {BITSANDBYTES: "bitsandbytes", COMPRESSED: "compressed_tensors"}
ENDINGS = re.compile(
    r"[-_.](unsloth-bnb-4bit|bnb-[48]bit|gptq[^/]*|awq[^/]*|[48]bit|int[48][^/]*|fp8[^/]*|w[48]a(8|16)[^/]*)$", re.I
)


def must_be_readable(config: Any, ref: str) -> None:
    """Raise `CheckpointError` for a checkpoint whose weights are quantised and can't be dequantised here."""
    method = quantised_by(config)
    package = PACKAGES.get(str(method))
    if method is None or (method in DEQUANTISED_ON_LOAD and package is None):
        return
    if package is not None and find_spec(package) is not None:
        return
    how = " ".join(one for one in (method, bits_of(config)) if one)
    full = ENDINGS.sub("", ref)
    advice = f"such as {full}" if full != ref else "from which it was made"
    install = ", or install the package that reads it: pip install 'aftertune[quantised]'" if package else ""
    raise CheckpointError(
        f"The weights of {ref} are quantised ({how}): its files hold codes, which can't be compared as weights. Give "
        f"the checkpoint in full precision, {advice}{install}."
    )


def quantised_by(config: Any) -> str | None:
    """The method by which a configuration says that its weights are quantised; None where they are not."""
    about = _about(config)
    return None if about is None else str(about.get("quant_method", "quantised"))


def must_be_plain(model: PreTrainedModel) -> None:
    """Raise `CheckpointError` for a model in memory whose weights are codes of bitsandbytes."""
    if quantised_by(model.config) == BITSANDBYTES:
        raise CheckpointError(
            f"The weights of your model in memory are quantised ({BITSANDBYTES} {bits_of(model.config)}). Give "
            "model.dequantize(), or the checkpoint in full precision with its adapter."
        )


def dequantised(model: PreTrainedModel, config: Any, dtype: torch.dtype) -> PreTrainedModel:
    """The model with plain weights of a dtype, one layer after the other; the same where they are plain already."""
    method = quantised_by(config)
    if method is None:
        return model
    if method in DEQUANTISED_ON_LOAD:
        return _unmarked(model)
    model = model.dequantize()
    del config.quantization_config
    with torch.device("meta"):
        plain: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    state = {name: one.to(dtype) if one.is_floating_point() else one for name, one in model.state_dict().items()}
    missing = sorted(plain.state_dict().keys() - state.keys())
    if missing:
        raise CheckpointError(
            f"The weights of this {method} checkpoint could not be dequantised: {len(missing)} have no number (first: "
            f"{missing[0]}). Give the checkpoint in full precision."
        )
    plain.load_state_dict({name: state[name] for name in plain.state_dict()}, assign=True)
    plain.tie_weights()
    for name, buffer in model.named_buffers():
        owner, _, leaf = name.rpartition(".")
        plain.get_submodule(owner).register_buffer(leaf, buffer, persistent=False)
    plain.generation_config = model.generation_config
    return plain


def dequantising(config: Any) -> dict[str, Any]:
    """What transformers has to be told to make plain weights of codes while it reads them."""
    kinds: dict[str, Any] = {"fp8": FineGrainedFP8Config, COMPRESSED: CompressedTensorsConfig}
    kind = kinds.get(str(quantised_by(config)))
    return {} if kind is None else {"quantization_config": kind(dequantize=True)}


def _unmarked(model: PreTrainedModel) -> PreTrainedModel:
    """The model, whose weights are plain, without the mark that they are codes: it would refuse to be saved."""
    for config in (model.config, model.config.get_text_config()):
        if hasattr(config, "quantization_config"):
            del config.quantization_config
    model.is_quantized, model.hf_quantizer = False, None
    return model


def _about(config: Any) -> Mapping[str, Any] | None:
    found = getattr(config, "quantization_config", None)
    if found is None:
        return None
    return found if isinstance(found, Mapping) else found.to_dict()


def kind_of(config: Any) -> str:
    """The kind of 4-bit numbers that bitsandbytes made ("nf4", "fp4"); empty for anything else."""
    about = _about(config) or {}
    return str(about.get("bnb_4bit_quant_type", "fp4")) if about.get("load_in_4bit") else ""


def bits_of(config: Any) -> str:
    """In how many bits a configuration says that its weights are stored ("4 bit"); empty where it does not say."""
    about = _about(config) or {}
    return next((f"{n} bit" for n in (4, 8) if about.get(f"load_in_{n}bit") or about.get("bits") == n), "")
