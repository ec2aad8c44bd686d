"""The feed-forward layers of a model in a run folder: two Parquet parts for each layer, and the vocabulary once.

One more part for each model says how near words lie to random directions; runs of earlier versions have none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.concepts.chance import Sample, chance_p_values
from aftertune.explainers.concepts.result import COMPONENTS, ConceptReading
from aftertune.runs.layer_parts import Frames, LayerParts, LayerPlan
from aftertune.runs.run import RunFolder

CONCEPTS = LayerParts("concepts", ("components", "spectra"), frozenset({"model", "layers", "n_layers", "d_model"}))


def open_concepts(run: RunFolder, role: str, name: str | None = None) -> ConceptReading:
    """The concepts of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    about, found = CONCEPTS.read(run, role)
    return reading_of(
        found,
        words=tuple(run.read_frame(CONCEPTS.words)["word"]),
        settings=run.read_json(CONCEPTS.settings)["identity"],
        chance=run.read_frame(_chance(role))["cosine"].to_numpy() if has_chance(run, role) else None,
        **about | ({"model": name} if name else {}),
    )


def are_measured(run: RunFolder, role: str, plan: LayerPlan) -> bool:
    """Whether the words, all layers of the plan and the random directions lie in the run."""
    return CONCEPTS.are_measured(run, role, plan) and has_chance(run, role)


def has_chance(run: RunFolder, role: str) -> bool:
    """Whether the run says how near words lie to random directions."""
    return run.exists(*_chance(role))


def write_chance(run: RunFolder, role: str, chance: Sample) -> None:
    """Keep how near words lie to random directions; raises `RunError` if that fails."""
    run.write_frame(_chance(role), pl.DataFrame({"cosine": chance}))


def _chance(role: str) -> tuple[str, str, str]:
    return "concepts/chance", role, "cosines.parquet"


def reading_of(frames: Sequence[Frames], chance: Sample | None, **known: Any) -> ConceptReading:
    """A `ConceptReading` from the frames of its layers, the random directions, and all else that it says."""
    joined = {name: pl.concat([one[name] for one in frames]) for name in CONCEPTS.frames}
    components = joined["components"].select(*COMPONENTS)
    networks = joined["components"].partition_by("layer", "expert", as_dict=True, maintain_order=True)
    directions = {key: np.asarray(frame["direction"].to_numpy()) for key, frame in networks.items()}
    return ConceptReading(
        components=components.with_columns(chance_p_values(components, chance, len(known["words"]), known["d_model"])),
        spectra=joined["spectra"],
        directions={(int(layer), int(expert)): rows for (layer, expert), rows in directions.items()},
        chance=chance,
        **known,
    )
