"""What locating a change wrote into a run, and how it is read back.

Of one pair of models:
- ``location/sizes``: a row for each weight.
- ``location/texts``: a row for each prompt with its answer, and how far tuned and base lie apart on it; prompts that
  were left out have no answer.
- ``location/swaps``: a part for each module that was swapped by itself, a row for each prompt.
- ``location/cumulative``: a part for each layer, a row for each prompt.
- ``location/together``: the stretch of layers that was swapped as one, and weight noise; written last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl
from typing_extensions import TypedDict

from aftertune.runs.records import identity_of
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder

SETTINGS = "location.json"
EMBEDDINGS, ATTENTION, FEED_FORWARD, NORMS, HEAD = "embeddings", "attention", "feed-forward", "norms", "output head"
KINDS = (EMBEDDINGS, ATTENTION, FEED_FORWARD, NORMS, HEAD)

SIZES: Mapping[str, Any] = {
    **{
        "weight": pl.String,
        "tied_to": pl.String,
        "layer": pl.Int32,
        "module": pl.String,
        "n_parameters": pl.Int64,
        "is_equal": pl.Boolean,
    },
    **{"squared_change": pl.Float64, "squared_norm": pl.Float64, "top5_share": pl.Float64},
    **{"effective_rank": pl.Float64, "noise_top5_share": pl.Float64, "noise_effective_rank": pl.Float64},
}
OUTCOME: Mapping[str, Any] = {"log_ratio": pl.Float64, "divergence": pl.Float64}
IN_OUT: Mapping[str, Any] = {f"{way}_{name}": kind for way in ("in", "out") for name, kind in OUTCOME.items()}
TEXTS: Mapping[str, Any] = {
    **{"prompt": pl.String, "answer": pl.String, "ended": pl.Boolean},
    **{"prompt_ids": pl.List(pl.Int64), "answer_ids": pl.List(pl.Int64)},
    **OUTCOME,
}
SWAP: Mapping[str, Any] = {"prompt": pl.String, **IN_OUT}
CUMULATIVE: Mapping[str, Any] = {"prompt": pl.String, "direction": pl.String, **OUTCOME}
TOGETHER: Mapping[str, Any] = {"what": pl.String, "module": pl.String, "first": pl.Int32, "last": pl.Int32, **SWAP}
STRETCH, STRETCH_NOISE, MODULE_NOISE = "stretch", "noise in the stretch", "noise in the module"
UP_TO, FROM = WAYS = "up to", "from"


class Module(NamedTuple):
    """A part of a model that is swapped as one: ``kind`` of one ``layer``, or of the whole model (None)."""

    layer: int | None
    kind: str

    @property
    def key(self) -> str:
        """Its name in a run."""
        return self.kind.replace(" ", "-") if self.layer is None else f"layer-{self.layer:03d}-{self.kind}"

    @property
    def text(self) -> str:
        """Its name in a sentence."""
        return self.kind if self.layer is None else f"{self.kind} of layer {self.layer}"


def modules_in(sizes: pl.DataFrame) -> dict[Module, pl.DataFrame]:
    """The modules of a model from the input to the output, each with the rows of its weights."""
    found = {Module(*key): rows for key, rows in sizes.group_by("layer", "module", maintain_order=True)}
    return {one: found[one] for one in sorted(found, key=_place)}


def changed_modules(sizes: pl.DataFrame) -> list[Module]:
    """The modules of which any weight differs, the one of largest relative change first."""
    changed = {one: rows for one, rows in modules_in(sizes).items() if not rows["is_equal"].all()}
    return sorted(changed, key=lambda one: -relative_change(changed[one]))


def relative_change(sizes: pl.DataFrame) -> float:
    """||dW|| / ||W|| over the rows of some weights; 0 where the base's are all 0."""
    change, norm = (float(sizes[name].to_numpy().sum()) for name in ("squared_change", "squared_norm"))
    return float((change / norm) ** 0.5) if norm else 0.0


def sizes_part(run: RunFolder, pair: Pair) -> tuple[str, str, str]:
    """Where the sizes lie."""
    return run.part("location/sizes", *pair)


def texts_part(run: RunFolder, pair: Pair) -> tuple[str, str, str]:
    """Where the answers lie."""
    return run.part("location/texts", *pair)


def swap_part(run: RunFolder, pair: Pair, module: Module) -> tuple[str, str, str]:
    """Where the swap of a module lies."""
    return run.part("location/swaps", "-".join(pair), module.key)


def cumulative_part(run: RunFolder, pair: Pair, layer: int) -> tuple[str, str, str]:
    """Where the cumulative swaps of a layer lie."""
    return run.part("location/cumulative", "-".join(pair), f"layer-{layer:03d}")


def together_part(run: RunFolder, pair: Pair) -> tuple[str, str, str]:
    """Where the stretch of layers lies that was swapped as one, with the noise."""
    return run.part("location/together", *pair)


@dataclass(frozen=True, eq=False)
class Measured:
    """All that lies in a run about one pair: the frames that the head of this file names.

    ``texts`` are those with an answer, ``n_left_out`` prompts have none. ``swaps`` and ``cumulative`` are by module and
    by layer; without any text (the models have the same weights, or no prompt has room for an answer) they are empty.
    """

    sizes: pl.DataFrame
    texts: pl.DataFrame
    swaps: Mapping[Module, pl.DataFrame]
    cumulative: Mapping[int, pl.DataFrame]
    together: pl.DataFrame
    n_left_out: int = 0


class OfSwaps(TypedDict):
    """What the settings say of swaps."""

    swaps: int


def read_measured(run: RunFolder, pair: Pair) -> Measured:
    """What lies in a run about a pair; raises `RunError` if it is not complete or damaged."""
    sizes, together = run.read_frame(sizes_part(run, pair)), run.read_frame(together_part(run, pair))
    prompts = run.read_frame(texts_part(run, pair))
    texts = with_answer(prompts)
    swapped = chosen_swaps(sizes, identity_of(run, SETTINGS, OfSwaps)["swaps"]) if len(texts) else []
    return Measured(
        sizes=sizes,
        texts=texts,
        swaps={one: run.read_frame(swap_part(run, pair, one)) for one in swapped},
        cumulative={
            one: run.read_frame(cumulative_part(run, pair, one)) for one in (layers_in(sizes) if len(texts) else ())
        },
        together=together,
        n_left_out=len(prompts) - len(texts),
    )


def with_answer(texts: pl.DataFrame) -> pl.DataFrame:
    """The texts that swaps are measured on: the others were left out."""
    return texts.filter(pl.col("answer_ids").list.len() > 0)


def chosen_swaps(sizes: pl.DataFrame, most: int) -> list[Module]:
    """The modules that are swapped one by one, in the order of the model."""
    return sorted(changed_modules(sizes)[:most], key=_place)


def layers_in(sizes: pl.DataFrame) -> Sequence[int]:
    """The layers of the model."""
    return sizes["layer"].drop_nulls().unique().sort().to_list()


def _place(module: Module) -> tuple[float, int]:
    outside = {EMBEDDINGS: -1.0, NORMS: float("inf"), HEAD: float("inf")}
    return outside[module.kind] if module.layer is None else float(module.layer), KINDS.index(module.kind)
