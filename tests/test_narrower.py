"""Weights held in 8 or 4 bit: who may run them, who may not, and what is told where the package is not there."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import aftertune
from aftertune.errors import AttributionError, CheckpointError
from aftertune.explainers.attribution.importance.routes import must_suit_architecture
from aftertune.models.files import narrower
from aftertune.models.files.narrower import arguments_of, must_be_able, must_have_plain_weights
from command_line import save_checkpoint
from tiny import make_config, make_model, make_tokenizer

HAS_PACKAGE = find_spec("bitsandbytes") is not None


def able(dtype: str = "int8", **how: Any) -> None:
    must_be_able(dtype, make_config("llama"), "m", **{"is_gguf": False, "adapter": None, "device": "cuda"} | how)


def test_what_cannot_be_held_so_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrower, "find_spec", lambda _: object())
    able()
    for words, how in {
        "quantised already .a GGUF file.": {"is_gguf": True},
        "The adapter a can't be merged into weights in int8. Merge it in full precision": {"adapter": "a"},
        "is for device cpu, cuda or balanced, not disk": {"device": "disk"},
    }.items():
        with pytest.raises(CheckpointError, match=words):
            able(**how)
    monkeypatch.setattr(narrower, "find_spec", lambda _: None)
    with pytest.raises(CheckpointError, match=r"int8 needs the package bitsandbytes. Install it: pip install"):
        able()


@pytest.mark.skipif(HAS_PACKAGE, reason="it is there")
def test_without_the_package_nothing_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="pip install 'aftertune"):
        aftertune.load(save_checkpoint(tmp_path), dtype="int4", device="cpu")


def test_explainers_of_weights_and_derivatives_are_refused() -> None:
    must_have_plain_weights("float32", ["heads"])
    must_have_plain_weights("int8", [])
    with pytest.raises(AttributionError, match=r"which heads, concepts can't read. .*--skip heads,concepts"):
        must_have_plain_weights("int4", ["heads", "concepts"])
    must_suit_architecture("llama", "int8", "removal", "auto")
    for method in ("gradient", "locally-linear"):
        with pytest.raises(AttributionError, match=r"needs derivatives, .* Give --method removal"):
            must_suit_architecture("llama", "int8", method, "auto")


def test_what_transformers_is_told() -> None:
    eight, four = (arguments_of(dtype, place) for dtype, place in (("int8", "cuda:1"), ("int4", "balanced")))
    assert eight["device_map"] == {"": "cuda:1"} and four["device_map"] == "balanced"
    assert eight["quantization_config"].load_in_8bit and four["quantization_config"].load_in_4bit
    assert four["quantization_config"].bnb_4bit_compute_dtype == torch.bfloat16


@pytest.mark.skipif(not HAS_PACKAGE, reason="bitsandbytes is not installed")
@pytest.mark.parametrize(("dtype", "misfit"), [("int8", 0.05), ("int4", 0.35)])
def test_a_model_held_so_predicts_about_what_it_did(dtype: str, misfit: float, tmp_path: Path) -> None:
    model, ids = make_model("llama"), torch.tensor([[5, 9, 30, 7]])
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    found = aftertune.load(tmp_path, dtype=dtype, device="cpu")
    assert found.provenance.dtype == dtype and found.provenance.n_parameters == model.num_parameters()
    with torch.no_grad():
        whole, held = model(ids).logits, found.model(ids).logits.float()
    assert 0 < float((held - whole).norm() / whole.norm()) < misfit
    state = found.model.state_dict()
    scale = next(name for name in state if name.endswith(("SCB", "absmax")))
    before = found.provenance.fingerprint
    with torch.no_grad():
        state[scale].add_(1)
    from aftertune.models.fingerprint import fingerprint

    assert fingerprint(found.model, "m") != before, "scales are part of the weights"
