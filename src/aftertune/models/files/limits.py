"""Does a configuration describe a model that can be built?  Asked before one is, even without its weights.

1. No known model has a tenth of the layers that are let through; to build a million takes hours.
2. The files of weights have the last word: a model of more layers or more numbers than lie there was never saved.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from aftertune.errors import CheckpointError, translated
from aftertune.models.files.gguf_header import must_fit_its_file
from aftertune.models.files.gguf_parsed import parsed
from aftertune.models.files.quantised import quantised_by
from aftertune.models.files.weights import files_of_weights, shapes_in

MOST_LAYERS = 1_500
MOST_EXPERTS = 100_000  # of a network: models of tiny experts have 16,384
MOST_OTHERS = 2**31  # rows, numbers in a vector: what a tensor can have
LAYERS = re.compile(r"(n|num)_(\w+_)?(layers?|blocks?)|depth")
EXPERTS = re.compile(r"(n|num)_(\w+_)?experts")
LAYERS_AT_ALL = re.compile(r"n_layers?|num_(hidden_)?layers")
SIZES = re.compile(r"\w*(_size|_dim|_heads|_head|_embd|_inner)")
MOST = {LAYERS: MOST_LAYERS, EXPERTS: MOST_EXPERTS, SIZES: MOST_OTHERS}
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blk|blocks)\.(\d+)\.")
# Weights that are shared are saved once and counted once; what is twice as large as its files is another model.
MOST_BEYOND = 2


def must_be_buildable(raw: Mapping[str, Any], ref: str, remedy: str) -> None:
    """Raise `CheckpointError` for a configuration of more layers or larger tensors than any model has."""
    for name, value in _numbers(raw):
        most = next((most for kind, most in MOST.items() if kind.fullmatch(name)), value)
        if value > most or (value < 1 and LAYERS_AT_ALL.fullmatch(name)):
            raise CheckpointError(
                f"The configuration of {ref} says {name} = {value}. It must be 1 to {most:,}. {remedy}"
            )


def must_not_exceed(config: Any, folder: Path, ref: str, remedy: str, trust_remote_code: bool = False) -> None:
    """Raise `CheckpointError` where the files of weights hold less than half of the model that is described.

    Quantised weights are let through, since they are codes.
    """
    if quantised_by(config) is not None:
        return
    shapes = [shape for file in files_of_weights(folder) for shape in shapes_in(file).values()]
    held = sum(_product(shape) for shape in shapes)
    with translated(CheckpointError, f"The model that {ref} describes can't be built", remedy), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    described = sum(int(one.numel()) for one in model.parameters())
    if described > MOST_BEYOND * held:
        raise CheckpointError(
            f"The configuration of {ref} describes a model of {described:,} weights, its files hold {held:,}. {remedy}"
        )


def must_have_layers(config: Any, names: Mapping[str, Any], ref: str, remedy: str) -> None:
    """Raise `CheckpointError` where the files of weights, with tensors of these names, hold fewer layers."""
    found = [int(match[1]) for match in map(LAYER.search, names) if match]
    described = getattr(config, "num_hidden_layers", 0)
    if found and described > max(found) + 1:
        raise CheckpointError(
            f"The configuration of {ref} says {described:,} layers, its weights have {max(found) + 1:,}. {remedy}"
        )


def must_hold_its_layers(file: Path, ref: str, remedy: str) -> None:
    """Raise `CheckpointError` for a GGUF file whose header is damaged, or says more layers than it has tensors of."""
    with translated(CheckpointError, f"The configuration of {ref} could not be read", remedy):
        must_fit_its_file(file)
        reader = parsed(file)
        kind = reader.get_field("general.architecture").contents()
        described = int(reader.get_field(f"{kind}.block_count").contents())
        held = {match[1] for match in (LAYER.search(one.name) for one in reader.tensors) if match}
    if described > len(held):
        raise CheckpointError(f"The header of {ref} says {described:,} layers, the file holds {len(held):,}. {remedy}")


def _numbers(raw: Mapping[str, Any], depth: int = 4) -> Iterator[tuple[str, int]]:
    for name, value in raw.items():
        if isinstance(value, Mapping) and depth:
            yield from _numbers(value, depth - 1)
        elif isinstance(value, int):
            yield str(name), value


def _product(shape: tuple[int, ...]) -> int:
    found = 1
    for one in shape:
        found *= one
    return found
