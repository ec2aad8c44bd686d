"""In how many digits products are taken: TF32 only where it is asked for, on a GPU; what was set before comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import aftertune
from aftertune.errors import CheckpointError
from aftertune.models.machine import measure_machine
from aftertune.models.products.digits import fast_products, in_tf32, multiply_as
from tiny import make_model, make_tokenizer

PRODUCTS = torch.backends.cuda.matmul


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = PRODUCTS.fp32_precision
    yield
    PRODUCTS.fp32_precision = before


@pytest.mark.parametrize("set_before", ["none", "ieee", "tf32"])
def test_fast_products_end_with_their_context(set_before: str) -> None:
    PRODUCTS.fp32_precision = set_before
    of_processor = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(KeyError), fast_products():
        assert PRODUCTS.fp32_precision == "tf32" and torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        raise KeyError
    assert (PRODUCTS.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision) == (set_before, of_processor)


def test_tf32_is_of_the_process_and_of_gpus() -> None:
    multiply_as("float32", "cuda")
    assert PRODUCTS.fp32_precision != "tf32"
    multiply_as("tf32", "cuda:1")
    assert PRODUCTS.fp32_precision == "tf32"
    assert not in_tf32(torch.zeros(1))  # which lies in memory


def test_tf32_is_refused_where_no_gpu_computes(tmp_path: Path) -> None:
    model, tokenizer = make_model("llama"), make_tokenizer(chat=False)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="the device is cpu"):
        aftertune.load(tmp_path, device="cpu", dtype="tf32")
    with pytest.raises(CheckpointError, match="Give float32 or bfloat16"):
        measure_machine("cpu", "tf32")
    assert PRODUCTS.fp32_precision != "tf32"
