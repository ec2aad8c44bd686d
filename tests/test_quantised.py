"""Checkpoints whose files hold codes and scales are read as codes times scales, written here by hand."""

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

import aftertune
from aftertune.errors import CheckpointError
from command_line import edit_json
from tiny import make_tokenizer

LARGEST_FP8 = 448
Coded = tuple[dict[str, Tensor], Tensor]
SCHEME = {"num_bits": 8, "symmetric": True, "strategy": "channel"}


def fp8(name: str, weight: Tensor) -> Coded:
    """Codes of 8-bit floats with a scale for each block of 32 x 32, as DeepSeek saves them; and what they stand for."""
    blocks = weight.reshape(weight.shape[0] // 32, 32, weight.shape[1] // 32, 32)
    scale = blocks.abs().amax((1, 3), keepdim=True) / LARGEST_FP8
    codes = (blocks / scale).to(torch.float8_e4m3fn)
    stored = {name: codes.reshape(weight.shape), f"{name}_scale_inv": scale[:, 0, :, 0].contiguous()}
    return stored, (codes.float() * scale).reshape(weight.shape)


def int8(name: str, weight: Tensor) -> Coded:
    """Codes of 8 bit with a scale for each row, as compressed-tensors saves them."""
    scale = weight.abs().amax(1, keepdim=True) / 127
    codes = (weight / scale).round().to(torch.int8)
    return {name: codes, f"{name}_scale": scale}, codes.float() * scale


def float8(name: str, weight: Tensor) -> Coded:
    """Codes of 8-bit floats with a scale for each row, as compressed-tensors saves them."""
    scale = weight.abs().amax(1, keepdim=True) / LARGEST_FP8
    codes = (weight / scale).to(torch.float8_e4m3fn)
    return {name: codes, f"{name}_scale": scale}, codes.float() * scale


def compressed(kind: str, numbers: str) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": SCHEME | {"type": numbers}}
    about = {"quant_method": "compressed-tensors", "format": kind, "quantization_status": "compressed"}
    return about | {"config_groups": {"group_0": group}, "ignore": ["lm_head"]}


KINDS: Mapping[str, tuple[Callable[[str, Tensor], Coded], dict[str, Any]]] = {
    "fp8": (fp8, {"quant_method": "fp8", "weight_block_size": [32, 32], "activation_scheme": "dynamic"}),
    "int8": (int8, compressed("int-quantized", "int")),
    "float8": (float8, compressed("float-quantized", "float")),
}


def save(folder: Path, kind: str) -> dict[str, Tensor]:
    """A tiny checkpoint in codes; returns what its weights stand for."""
    code, about = KINDS[kind]
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=300, bos_token_id=1, eos_token_id=2, **sizes))
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    stored, meant = {}, {}
    for name, weight in load_file(folder / "model.safetensors").items():
        is_coded = ".layers." in name and weight.ndim == 2
        held, meant[name] = code(name, weight) if is_coded else ({name: weight}, weight)
        stored |= held
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    edit_json(folder / "config.json", quantization_config=about)
    return meant


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_read_times_their_scales(kind: str, tmp_path: Path) -> None:
    if kind != "fp8" and find_spec("compressed_tensors") is None:
        pytest.skip("compressed-tensors is not installed")
    meant = save(tmp_path / "coded", kind)
    found = aftertune.load(tmp_path / "coded")
    held = dict(found.model.named_parameters())
    for name, weight in meant.items():
        assert held[name].dtype == torch.float32
        torch.testing.assert_close(held[name].detach(), weight, rtol=1e-6, atol=1e-8)
    found.model.save_pretrained(tmp_path / "plain")
    assert "quantization_config" not in json.loads((tmp_path / "plain" / "config.json").read_text())


def test_what_is_needed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "coded", "int8")
    monkeypatch.setattr("aftertune.models.files.quantised.find_spec", lambda _: None)
    with pytest.raises(CheckpointError, match=r"\(compressed-tensors\).* pip install 'aftertune\[quantised\]'\.$"):
        aftertune.load(tmp_path / "coded")
