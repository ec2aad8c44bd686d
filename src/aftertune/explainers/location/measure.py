"""Which layers and modules carry the change?  Measured of a pair of models, one part after the other.

1. The size of the change of every weight (`sizes`).
2. The tuned model's greedy answers to the prompts (`texts`).
3. Each module that changed, swapped both ways (`swaps`): the tuned one into the base, the base's into the tuned model.
4. All up to each layer, and all from each layer, of the tuned model, the rest of the base.
5. The stretch of layers that brings half of the change, swapped as one; and, as the control, weight noise of the size
   of the change in that stretch and in the module of the largest share.
What has its part already is not computed again. When all explainers are through, the heads and directions that they
name are swapped as well (`named.measure`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from aftertune.errors import CheckpointError
from aftertune.explainers.explainer import Inputs, Work
from aftertune.explainers.location import cost, result
from aftertune.explainers.location.bench import Bench
from aftertune.explainers.location.modules import Place, places
from aftertune.explainers.location.named import measure as named_parts
from aftertune.explainers.location.named.result import units
from aftertune.explainers.location.result import Module
from aftertune.explainers.location.settings import LocationSettings
from aftertune.explainers.location.sizes import sizes_of
from aftertune.explainers.location.stretch import BOTH, Stretch, shortest_range
from aftertune.explainers.location.swaps import Swaps
from aftertune.explainers.location.texts import Common, Text, answered, batches, saved_texts
from aftertune.explainers.named import Named
from aftertune.models.cost import Remaining
from aftertune.models.loaded import Checkpoint
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.models.weights import attention_shape
from aftertune.runs.reuse import Reusable
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress, counted_after

Swap = tuple[tuple[str, str, str], Callable[[], pl.DataFrame]]
SAME_CONFIGURATION = ("model_type", "hidden_size", "intermediate_size", "num_hidden_layers")


class Models(NamedTuple):
    """Both models and the weights that they share."""

    base: Checkpoint
    tuned: Checkpoint
    places: list[Place]


@dataclass(frozen=True)
class LocationWork(Work):
    """The location of the change between any pairs of models, on the prompts of a study."""

    settings: LocationSettings
    inputs: Inputs
    saved_settings = result.SETTINGS
    is_shared = True
    reusable = (
        Reusable(("location/sizes/{base}/{tuned}.parquet",), ()),
        Reusable(
            (
                "location/texts/{base}/{tuned}.parquet",
                "location/swaps/{base}-{tuned}/*",
                "location/cumulative/{base}-{tuned}/*",
            ),
            ("texts", "answer_tokens", "template", "prompts"),
        ),
        Reusable(("location/together/{base}/{tuned}.parquet",)),
    )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on: the settings, and the prompts to the letter."""
        return self.settings.of("parts") | self.inputs.identity

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:
        """Refuse models whose weights can't be subtracted, and a run that was measured otherwise."""
        known = [one for one in configs if one is not None]
        for name in SAME_CONFIGURATION:
            values = [getattr(one, name, None) for one in known]
            if len(set(map(str, values))) > 1:
                raise CheckpointError(
                    f"The checkpoints can't be subtracted: their {name} is {values[0]} and {values[-1]}. "
                    "Give a model and its tune, or leave location out (skip)."
                )
        if run.exists(result.SETTINGS):
            run.claim(result.SETTINGS, self.identity, {})

    def chosen(self) -> Sequence[tuple[str, str]]:
        """How many texts and modules."""
        n_texts, most = min(self.settings.texts, len(self.inputs.prompts)), self.settings.swaps
        modules = f"of every module ({most} at most, those that changed most)" if most else "of no single module"
        answers = (
            f"{n_texts} answers of up to {self.settings.answer_tokens} tokens (--location-tokens), swaps {modules}"
        )
        confirm = self.settings.confirm
        named = [
            ("named", f"at most {confirm} heads and {confirm} directions, swapped where heads and concepts name them")
        ]
        return [("location", answers), *(named if confirm else ())]

    def remaining_pair(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:  # noqa: ARG002
        """The weights and swaps that are left."""
        return cost.remaining(self.settings, self.inputs, run, pair, size)

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether the part that is written last is there."""
        return run.exists(*result.together_part(run, pair))

    def measure_pair(
        self, base: Checkpoint, tuned: Checkpoint, pair: Pair, run: RunFolder, progress: StepProgress
    ) -> None:
        """Write the parts that are not there yet; both models are left as they were.

        Raises `CheckpointError` for models whose weights can't be subtracted or that never end an answer, and
        `RunError` if the run was measured otherwise or can't be written.
        """
        models = Models(base, tuned, places(base, tuned))
        run.claim(result.SETTINGS, self.identity, {})
        sizes = _sizes(models.places, run, pair, progress)
        swaps = self._swaps(models, not sizes["is_equal"].all(), run, pair, progress)
        if swaps is not None:
            self._swap(swaps, sizes, run, pair, progress)
        elif not self.is_pair_measured(run, pair):
            run.write_frame(result.together_part(run, pair), pl.DataFrame(schema=result.TOGETHER))

    @property
    def takes_names(self) -> bool:
        """Whether heads and directions that are named are swapped."""
        return self.settings.confirm > 0

    def remaining_named(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:  # noqa: ARG002
        """The swaps of what will be named, as many as may be."""
        return cost.remaining_named(self.settings, self.inputs, run, pair, size)

    def is_named_measured(self, run: RunFolder, pair: Pair, named: Sequence[Named]) -> bool:
        """Whether just what is named was swapped, or there is nothing to swap it on."""
        return not self.takes_names or named_parts.is_measured(run, pair, named, self.settings.confirm)

    def measure_named(
        self,
        base: Checkpoint,
        tuned: Checkpoint,
        pair: Pair,
        run: RunFolder,
        named: Sequence[Named],
        progress: StepProgress,
    ) -> None:
        """Swap the first heads and directions that are named, on the texts of the run; nothing without any text.

        Raises `CheckpointError` where heads can't be told apart, `RunError` if a part can't be read or written.
        """
        texts = [one for one in saved_texts(run.read_frame(result.texts_part(run, pair))) if one.answer_ids]
        found = units(named, self.settings.confirm, attention_shape(base).n_sharing) if texts else []
        models = Models(base, tuned, [])
        make_bench = partial(_bench, models, texts, _common(models).n_known)
        named_parts.measure_units((base, tuned), texts, make_bench, found, (run, pair), progress)

    def _swaps(self, models: Models, differ: bool, run: RunFolder, pair: Pair, progress: StepProgress) -> Swaps | None:
        """Both models with the texts; None where there is nothing to swap, or no answer to measure it on."""
        part, common, bench = result.texts_part(run, pair), _common(models), None
        for _ in run.missing([part], lambda part: [part], partial(progress, cost.ANSWERS)):
            bench = self._answer(models, common, differ, run, part)
        texts = [one for one in saved_texts(run.read_frame(part)) if one.answer_ids]
        if not texts:
            return None
        bench = bench or _bench(models, texts, common.n_known)
        n_layers, whole = attention_shape(models.base).n_layers, float(bench.whole().log_ratio.sum())
        return Swaps(bench, models.places, n_layers, [one.prompt for one in texts], whole)

    def _answer(
        self, models: Models, common: Common, differ: bool, run: RunFolder, part: tuple[str, str, str]
    ) -> Bench | None:
        """Write the texts, and return both models with them; None without any answer that can be measured."""
        read = answered(models.tuned, common, self.settings, self.inputs) if differ else []
        texts = [one for one in read if one.answer_ids]
        bench = _bench(models, texts, common.n_known) if texts else None
        if bench is not None and not (finite := np.isfinite(bench.whole().log_ratio)).all():
            read = _without_answers(read, {one for one, is_finite in zip(texts, finite, strict=True) if not is_finite})
            texts = [one for one in read if one.answer_ids]
            bench = _bench(models, texts, common.n_known) if texts else None
        run.write_frame(part, _texts_frame(texts, [one for one in read if not one.answer_ids], bench))
        return bench

    def _swap(self, swaps: Swaps, sizes: pl.DataFrame, run: RunFolder, pair: Pair, progress: StepProgress) -> None:
        chosen = result.chosen_swaps(sizes, self.settings.swaps)
        units: list[Swap] = [(result.swap_part(run, pair, one), partial(swaps.both_ways, [one])) for one in chosen]
        units += [(result.cumulative_part(run, pair, n), partial(swaps.cumulative, n)) for n in range(swaps.n_layers)]
        last: list[Swap] = [(result.together_part(run, pair), lambda: _together(swaps, chosen, run, pair))]
        for some in (units, last):  # the last is made of the others
            tell = counted_after(partial(progress, cost.SWAPS), 0 if some is units else len(units), len(units) + 1)
            for part, make in run.missing(some, lambda unit: [unit[0]], tell, wait=some is units):
                run.write_frame(part, make())


def _without_answers(texts: Sequence[Text], overflowing: Collection[Text]) -> list[Text]:
    """The texts, of which those on which a model's logits are not finite have no answer that could be measured."""
    return [replace(one, answer_ids=()) if one in overflowing else one for one in texts]


def _sizes(found: Sequence[Place], run: RunFolder, pair: Pair, progress: StepProgress) -> pl.DataFrame:
    part = result.sizes_part(run, pair)
    for _ in run.missing([part], lambda part: [part]):
        rows = list(_size_rows(found, progress))
        run.write_frame(part, pl.DataFrame(rows, schema=pl.Schema(result.SIZES)))
    progress(cost.SIZES, len(found), len(found))
    return run.read_frame(part)


def _size_rows(found: Sequence[Place], progress: StepProgress) -> Iterator[dict[str, Any]]:
    for done, place in enumerate(found):
        progress(cost.SIZES, done, len(found))
        layer, module = place.module
        about = {"weight": place.name, "tied_to": place.tied_to, "layer": layer, "module": module}
        weights = {"n_parameters": place.pair[0].numel(), "is_equal": place.is_equal}
        yield about | weights | sizes_of(*place.pair)


def _common(models: Models) -> Common:
    """What both models can read."""
    ends = [end for one in models[:2] for end in (one.model.get_input_embeddings(), one.model.get_output_embeddings())]
    contexts = [one.context_length for one in models[:2] if one.context_length is not None]
    return Common(min(len(end.weight) for end in ends), min(contexts, default=None))


def _bench(models: Models, texts: Sequence[Text], known: int) -> Bench:
    device = models.base.model.get_input_embeddings().weight.device
    return Bench.of(models.base, models.tuned, batches(texts, device), len(texts), known)


def _texts_frame(texts: Sequence[Text], left_out: Sequence[Text], bench: Bench | None) -> pl.DataFrame:
    """The answers, with how far the whole tuned model lies from the base on them, and the prompts without one."""
    schema = pl.Schema(result.TEXTS)
    without = pl.DataFrame([one.to_row() | dict.fromkeys(result.OUTCOME) for one in left_out], schema=schema)
    if bench is None:
        return without
    whole = bench.whole()
    numbers = {"log_ratio": whole.log_ratio, "divergence": whole.divergence}
    measured = pl.DataFrame([one.to_row() for one in texts]).with_columns(**numbers).select(*schema).cast(schema)
    return pl.concat([measured, without])


def _together(swaps: Swaps, chosen: Sequence[Module], run: RunFolder, pair: Pair) -> pl.DataFrame:
    """The stretch that brings half of the change, and noise; nothing where no module was swapped by itself."""
    shares = _shares(swaps, chosen, run, pair)
    kinds = {one.kind for one in chosen if one.layer is not None}
    kind = kinds.pop() if len(kinds) == 1 else BOTH
    return swaps.together(shares, _shortest(swaps, kind, run, pair) if shares else None)


def _shares(swaps: Swaps, chosen: Sequence[Module], run: RunFolder, pair: Pair) -> dict[Module, float]:
    """The share of the change that each module brings that was swapped; none where that is not known, or no number."""
    brought = {one: run.read_frame(result.swap_part(run, pair, one))["in_log_ratio"].to_numpy() for one in chosen}
    known = {one: values for one, values in brought.items() if np.isfinite(values).all()}
    return {one: float(values.sum() / swaps.whole) for one, values in known.items()} if swaps.whole > 0 else {}


def _shortest(swaps: Swaps, kind: str, run: RunFolder, pair: Pair) -> Stretch | None:
    """All layers up to one, or from one, that bring half of the change, by the cumulative swaps."""
    parts = [run.read_frame(result.cumulative_part(run, pair, layer)) for layer in range(swaps.n_layers)]
    ways = [[one.filter(direction=way)["log_ratio"].to_numpy().sum() for one in parts] for way in result.WAYS]
    up_to, onward = ([float(found) / swaps.whole for found in way] for way in ways)
    return shortest_range(up_to, onward, kind)
