"""A small model, a slow machine, and costs that are nearly the same, for estimates by hand."""

import pytest

from aftertune.models.cost import Cost
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize

SIZE = ModelSize(
    n_parameters=1000,
    n_active=600,
    n_layers=2,
    n_heads=3,
    n_key_heads=1,
    d_head=4,
    d_model=5,
    d_inner=7,
    n_networks=2,
    n_neurons=14,
    n_vocabulary=11,
    context=128,
)
MACHINE = Machine("cpu", matrix_rate=100.0, memory_rate=1000.0, free_bytes=10**9)


def close(found: Cost, wanted: Cost) -> None:
    assert (found.operations, found.moved, found.seconds) == pytest.approx(
        (wanted.operations, wanted.moved, wanted.seconds)
    )
