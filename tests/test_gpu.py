"""Attribution on a GPU against the same in float64 on the CPU. Skipped, and told so, where there is none."""

import numpy as np
import pytest
import torch

import aftertune
from aftertune.explainers.attribution.importance.explicit_jvp import rows
from aftertune.explainers.attribution.importance.routes import BFLOAT16
from tiny import FAMILIES, make_model, make_tokenizer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
PROMPT, RESPONSE = "Rewrite the text. Input: the cat sat", " on the mat. Output: answer"


def importance(family: str, device: str, dtype: torch.dtype, route: str) -> np.ndarray:
    model = make_model(family, dtype).to(device)
    checkpoint = aftertune.load(model, tokenizer=make_tokenizer(chat=False))
    return aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route=route).importance


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("route", ["forward", "reverse"])
def test_float32(family: str, route: str) -> None:
    exact = importance(family, "cpu", torch.float64, "forward")
    assert error(importance(family, "cuda", torch.float32, route), exact) < 1e-4


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_products_with_fewer_digits(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = importance("llama", "cpu", torch.float64, "forward")
    if precision == "tf32":
        monkeypatch.setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32")
    route = BFLOAT16 if precision == "bfloat16" else "forward"
    assert error(importance("llama", "cuda", torch.float32, route), exact) < 0.06


def test_the_inner_loop_does_not_wait_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = rows._layer

    def watched(*given: object) -> torch.Tensor:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return layer(*given)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(rows, "_layer", watched)
    assert importance("llama", "cuda", torch.float32, "forward").shape[1] > 0
