"""Inner loops of attribution, outputs and location wait for no number of the device.

Counted on the CPU, by the operations and calls that would make a GPU wait: however many layers, units, chunks or
batches there are, they are as many. What transformers asks for in its own passes is not counted.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaForCausalLM

import aftertune
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.forward import forward_importance
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.removal import removal_importance
from aftertune.explainers.location.bench import Bench
from aftertune.explainers.location.texts import Text as Answered
from aftertune.explainers.location.texts import batches
from aftertune.explainers.outputs import probabilities
from aftertune.explainers.outputs.texts import Text
from aftertune.models.backbone import Backbone
from aftertune.models.temporary_state import borrowed
from location_samples import in_places, tuned_pair
from tiny import make_config, make_tokenizer

READING = {getattr(torch.ops.aten, name) for name in ("_local_scalar_dense", "nonzero", "bincount", "masked_select")}
CALLS = ("cpu", "tolist", "numpy", "item")


class Waits(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        of_mask = func.overloadpacket is torch.ops.aten.index and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        self.n += (func.overloadpacket in READING or of_mask) and is_ours()
        return func(*args, **(kwargs or {}))


def is_ours() -> bool:
    """Whether the nearest caller beside torch is a module of ours."""
    frame = sys._getframe(2)
    while frame is not None:
        if "/transformers/" in frame.f_code.co_filename:
            return False
        if "/aftertune/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    with monkeypatch.context() as patch, Waits() as waits:
        for name in CALLS:
            patch.setattr(torch.Tensor, name, counting(getattr(torch.Tensor, name), waits))
        yield waits


def counting(plain: Callable, waits: Waits) -> Callable:
    def call(*given: Any, **named: Any) -> Any:
        waits.n += is_ours()
        return plain(*given, **named)

    return call


def llama(n_layers: int) -> aftertune.Checkpoint:
    config = make_config("llama")
    config.num_hidden_layers = n_layers
    torch.manual_seed(0)
    return aftertune.load(LlamaForCausalLM(config).eval(), tokenizer=make_tokenizer(chat=False))


def attributed(checkpoint: aftertune.Checkpoint, way: str, n_prompt: int, monkeypatch: pytest.MonkeyPatch) -> int:
    backbone, ids = Backbone(checkpoint), tuple(range(5, 5 + n_prompt))
    task = Task(ids, (60, 61, 62), tuple((place,) for place in range(n_prompt)))
    with borrowed(checkpoint.model, attention=FUSED if way == "forward" else "sdpa"), torch.no_grad():
        batch = make_batch(backbone, [task])
        call = {"forward": lambda: forward_importance(backbone, batch)}.get(
            way,
            lambda: removal_importance(backbone, batch, way),  # type: ignore[arg-type]
        )
        call()  # what is found out of a model once
        with counted(monkeypatch) as waits:
            call()
    return waits.n


@pytest.mark.parametrize("way", ["forward", "deleted", "mean"])
def test_attribution_waits_no_more_for_more_layers_and_units(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, deep = llama(2), llama(5)
    found = [attributed(one, way, n, monkeypatch) for one in (few, deep) for n in (4, 9)]
    assert len(set(found)) == 1 and found[0] <= 3


def test_outputs_wait_no_more_for_more_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    base, tuned = tuned_pair(in_places(".1."))
    texts = [Text(str(n), "", (1, 5 + n), tuple(range(40, 44 + n)), ended=n % 2 == 0) for n in range(6)]
    calls = (
        lambda: probabilities.mean_predictions(base, texts, 300),
        lambda: probabilities.compare_positions(base, tuned, texts),
        lambda: probabilities.finite_texts(base, texts, probabilities.final_states(base, texts)),
    )
    for call in calls:
        found = []
        for n_bytes in (2**26, 4 * 2 * 300 * 3):  # one chunk, and three rows of logits at a time
            monkeypatch.setattr(probabilities, "LOGIT_BYTES", n_bytes)
            with counted(monkeypatch) as waits:
                call()
            found.append(waits.n)
        assert found[0] == found[1]


def test_swaps_wait_no_more_for_more_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    base, tuned = tuned_pair(in_places(".1."))
    short, long = ((1, *range(5, 5 + n)) for n in (3, 30))
    found = []
    for prompts in ((short, short), (short, long)):
        texts = [Answered(str(n), prompt, (60, 70, 80), "") for n, prompt in enumerate(prompts)]
        groups = batches(texts, torch.device("cpu"))
        bench = Bench.of(base, tuned, groups, len(texts), 300)
        with counted(monkeypatch) as waits:
            bench.outcome(base, bench.base_layers, 1)
        found.append((len(groups), waits.n))
    assert [n for n, _ in found] == [1, 2] and found[0][1] == found[1][1] <= 4
