"""What lies in a run beside each pair of models: the base with noise, and what the change of weights writes and reads.

1. For each draw of noise of the size of the change: the parts that a model's reading has, layer by layer.
2. ``written``: the directions that the change of each module writes along, either side, with words; ``chance``: how far
   a token stands out along random directions, and along those of each draw of noise; ``read``: words by how much the
   change reads of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aftertune.explainers.concepts.result import ConceptReading, reading_of
from aftertune.runs.layer_parts import LayerParts
from aftertune.runs.records import OfLayers, OfNoise, record_of
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.statistics.noise import NOISE

WRITTEN: dict[str, Any] = {
    **{"layer": pl.Int16, "module": pl.String, "top_share": pl.Float64, "noise_top_share": pl.Float64},
    **{"squared_change": pl.Float64, "rank": pl.Int16, "sign": pl.Int8, "share": pl.Float64},
    **{"words": pl.List(pl.String), "z": pl.List(pl.Float64)},
}
CHANCE_OF_CHANGE: dict[str, Any] = {"of": pl.String, "largest": pl.Float64}
READ_WORDS: dict[str, Any] = {
    **{"word": pl.String, "ratio": pl.Float64, "times_noise": pl.Float64},
    **{"n_words": pl.Int32, "degrees_of_freedom": pl.Float64},
}
NOISE_PARTS = LayerParts("noise-concepts", ("components", "spectra"), frozenset())
NOISE_SHOWN = "noise-concepts.json"
CHANGE_PARTS = ("written", "chance", "read")


def noise_role(pair: Pair, draw: int) -> str:
    """The role under which a draw of noise of a pair lies in a run."""
    return f"{'-'.join(pair)}-{draw:03d}"


def without_noise(pair: Pair) -> str:
    """The file that says that no noise can be drawn of a pair: nothing changed, or other tensors."""
    return f"noise-concepts-{'-'.join(pair)}.json"


def change_part(run: RunFolder, pair: Pair, name: str) -> tuple[str, str, str]:
    """A part of what the change of weights of a pair writes and reads, one of `CHANGE_PARTS`."""
    return run.part("change-concepts", "-".join(pair), name)


def saved_noise(run: RunFolder, pair: Pair, like: ConceptReading) -> list[ConceptReading]:
    """The draws of noise of a pair that the run shows, read ``like`` its base; none where none was measured.

    Raises `RunError` if one is damaged.
    """
    shown = record_of(run, NOISE_SHOWN, OfNoise)["noise_models"] if run.exists(NOISE_SHOWN) else 0
    roles = [noise_role(pair, draw) for draw in range(shown)]
    there = [role for role in roles if all(NOISE_PARTS.is_written(run, role, layer) for layer in like.layers)]
    known = {"model": NOISE, "layers": like.layers, "n_layers": like.n_layers, "d_model": like.d_model}
    known |= {"words": like.words, "settings": like.settings}
    return [reading_of(NOISE_PARTS.frames_of(run, role, like.layers), None, **known) for role in there]


def saved_change(run: RunFolder, pair: Pair, layers: Sequence[int]) -> dict[str, pl.DataFrame] | None:
    """What the change of weights writes and reads in these layers; None where it was not measured.

    By the names of `CHANGE_PARTS`. Raises `RunError` if a part is damaged.
    """
    if not is_change_of(run, pair, layers):
        return None
    return {name: run.read_frame(change_part(run, pair, name)) for name in CHANGE_PARTS}


def is_change_of(run: RunFolder, pair: Pair, layers: Sequence[int]) -> bool:
    """Whether the run says what the change of weights writes and reads in just these layers."""
    name = f"change-concepts-{'-'.join(pair)}.json"
    return run.exists(name) and record_of(run, name, OfLayers)["layers"] == list(layers)


def write_change(run: RunFolder, pair: Pair, layers: Sequence[int], frames: Mapping[str, pl.DataFrame]) -> None:
    """Keep what the change of weights writes and reads; raises `RunError` if that fails."""
    for name in CHANGE_PARTS:
        run.write_frame(change_part(run, pair, name), frames[name])
    run.remember(f"change-concepts-{'-'.join(pair)}.json", {"layers": list(layers)})
