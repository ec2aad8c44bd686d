"""Forward mode as it is written out for models of Llama's build, against `torch.func` on the model itself."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import aftertune
from aftertune.errors import AttributionError
from aftertune.explainers.attribution.importance import chunks, forward
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.explicit_jvp import rows
from aftertune.explainers.attribution.importance.explicit_jvp.facts import facts_of
from aftertune.explainers.attribution.importance.routes import BFLOAT16
from aftertune.models.architectures import is_written_out
from aftertune.models.backbone import Backbone
from aftertune.models.products import weight as products
from aftertune.models.temporary_state import borrowed
from tiny import FAMILIES, make_model, make_tokenizer

WRITTEN_OUT = [family for family in FAMILIES if is_written_out(family)]
LONG = Task(tuple(range(3, 12)), tuple(range(5, 20)), tuple((place,) for place in range(9)))
SHORT = Task(tuple(range(4, 10)), tuple(range(2, 9)), ((4, 5), (0, 1), (2,)))
PROMPT, RESPONSE = "the cat sat on the mat", " answer the question"


def load(family: str, dtype: torch.dtype = torch.float64) -> aftertune.Checkpoint:
    return aftertune.load(make_model(family, dtype), tokenizer=make_tokenizer(chat=False))


def importance(
    checkpoint: aftertune.Checkpoint,
    tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    *,
    general: bool = False,
    dtype: torch.dtype | None = None,
) -> tuple[list[np.ndarray], list[bool]]:
    """The importance of each task; and of each chunk, whether it was found by what is written out."""
    taken: list[bool] = []

    def rows_of(*given: object) -> Callable[[int, int], torch.Tensor | None] | None:
        found = None if general else rows.rows_of(*given)  # type: ignore[arg-type]

        def watched(start: int, stop: int) -> torch.Tensor | None:
            assert found is not None
            chunk = found(start, stop)
            taken.append(chunk is not None)
            return chunk

        return None if found is None else watched

    monkeypatch.setattr(forward, "rows_of", rows_of)
    monkeypatch.setattr(forward, "OneProduct", nullcontext)  # the plain model is what this is held against
    with borrowed(checkpoint.model, attention="eager", experts="eager"):
        backbone = Backbone(checkpoint)
        found, _ = forward.forward_importance(backbone, make_batch(backbone, tasks), dtype)
    own = [found[row, : len(task.units), : len(task.response_ids)].numpy() for row, task in enumerate(tasks)]
    return own, taken


def test_the_families_that_it_is_written_out_for() -> None:
    assert WRITTEN_OUT == ["gemma2", "gemma3_text", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3"]


@pytest.mark.parametrize("family", WRITTEN_OUT)
@pytest.mark.parametrize(
    ("tasks", "rows_at_once", "at_once"), [([LONG], 1536, 9), ([LONG], 50, 4), ([SHORT, LONG], 100, 5)]
)
def test_it_gives_what_torch_gives(
    family: str, tasks: list[Task], rows_at_once: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "QUERIES_AT_ONCE", 5)  # so that tiny inputs have several blocks
    monkeypatch.setattr(chunks, "ROWS_ON_CPU", rows_at_once)
    monkeypatch.setattr(forward, "fitting", lambda *_, **__: at_once)
    checkpoint = load(family)
    found, taken = importance(checkpoint, tasks, monkeypatch)
    expected, _ = importance(checkpoint, tasks, monkeypatch, general=True)
    assert taken == [True] * -(-9 // at_once)
    for one, other in zip(found, expected, strict=True):
        # Transformers takes norms in float32 whatever the model's type; here they are in float64.
        assert np.abs(one - other).max() < 5e-6 * np.abs(other).max()


@pytest.mark.parametrize("family", WRITTEN_OUT)
def test_products_in_bfloat16_stay_close(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load(family, torch.float32)
    for tasks in ([LONG], [SHORT, LONG]):
        found, taken = importance(checkpoint, tasks, monkeypatch, dtype=torch.bfloat16)
        expected, _ = importance(checkpoint, tasks, monkeypatch)
        assert all(taken)
        for one, other in zip(found, expected, strict=True):
            # Eight bits of a number: 2 to 32 thousandths were seen.
            assert 1e-4 < np.abs(one - other).max() / np.abs(other).max() < 0.06


def test_attribution_of_a_prompt_by_products_in_bfloat16() -> None:
    checkpoint = load("llama", torch.float32)
    plain = aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route="forward")
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route=BFLOAT16)
    assert found.route == BFLOAT16 and found.importance.dtype == np.float32
    assert np.array_equal(found.probability, plain.probability)
    assert np.corrcoef(found.importance.ravel(), plain.importance.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(WRITTEN_OUT)))
def test_every_other_model_is_left_to_torch(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load(family)
    assert importance(checkpoint, [LONG], monkeypatch)[1] == []
    with pytest.raises(AttributionError, match=f"Route '{BFLOAT16}' is for models in float32 of .*Llama.*Take route"):
        aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route=BFLOAT16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_stream_with_huge_entries_is_rounded_as_such(dtype: torch.dtype) -> None:
    """In SmolLM2-135M some entries are of 10,000 where attention writes 5."""
    model = make_model("llama", dtype)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[0] *= 1e6
    facts = facts_of(Backbone(aftertune.load(model, tokenizer=make_tokenizer(chat=False))))
    assert facts is not None and {layer.residual for layer in facts.layers} == {1.0}


def test_layers_that_are_not_plain_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Adapted(nn.Linear):
        pass

    checkpoint = load("llama")
    checkpoint.model.model.layers[0].mlp.up_proj.__class__ = Adapted
    assert importance(checkpoint, [LONG], monkeypatch)[1] == []


def test_a_model_that_computes_something_else_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load("llama")
    network: nn.Module = checkpoint.model.model.layers[1].mlp
    handle = network.register_forward_hook(lambda _module, _given, written: 1.01 * written)
    found, taken = importance(checkpoint, [LONG], monkeypatch)
    expected, _ = importance(checkpoint, [LONG], monkeypatch, general=True)
    with pytest.raises(AttributionError, match="does not compute what its architecture says"):
        importance(checkpoint, [LONG], monkeypatch, dtype=torch.bfloat16)
    handle.remove()
    assert taken[:1] == [False] and np.array_equal(found[0], expected[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_products_with_a_weight_that_is_laid_out_are_plain_products(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, tangents = torch.randn(24, 40, generator=generator), torch.randn(3, 2, 17, 40, generator=generator)
    exact = tangents.to(dtype).double() @ weight.to(dtype).double().T
    made = products.Weight(weight, dtype)
    if dtype == torch.float64:
        assert made.laid_out is None  # oneDNN has no such products; the others are laid out where they can be
    monkeypatch.setattr(products, "_laid_out", lambda _: None)
    for one in (made, products.Weight(weight, dtype)):
        found = one.product(tangents.to(dtype)[:, :, 5:])
        assert found.dtype == dtype
        tolerance = {torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float64: 1e-14}[dtype]
        assert (found.double() - exact[:, :, 5:]).abs().max() < tolerance * exact.abs().max()
