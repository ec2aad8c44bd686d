"""Do heads and directions that other explainers name carry any of the change?  Measured of a pair, one after the other.

1. What is named is chosen (`result.units`): heads with their groups, and directions.
2. The texts are those that modules were swapped on; without any nothing is swapped.
3. Each is swapped (`swap`), and of each direction the texts that drive it are read (`contexts`).
What has its part already is not computed again.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial

from aftertune.explainers.location.bench import Bench
from aftertune.explainers.location.named import result
from aftertune.explainers.location.named.contexts import driving_texts
from aftertune.explainers.location.named.result import DIRECTION, STEP, Unit
from aftertune.explainers.location.named.swap import swap_unit
from aftertune.explainers.location.texts import Text
from aftertune.explainers.named import Named
from aftertune.models.loaded import Checkpoint
from aftertune.models.weights import attention_shape
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress


def is_measured(run: RunFolder, pair: Pair, named: Sequence[Named], most: int) -> bool:
    """Whether just what is named now was swapped."""
    kept = result.kept_units(run, pair)
    return kept is not None and kept[0] == result.units(named, most, kept[1])


def measure_units(
    models: tuple[Checkpoint, Checkpoint],
    texts: Sequence[Text],
    make_bench: Callable[[], Bench],
    found: Sequence[Unit],
    place: tuple[RunFolder, Pair],
    progress: StepProgress,
) -> None:
    """Write the parts of units that are not there yet; ``texts`` have an answer each.

    Raises `CheckpointError` where heads can't be told apart, `RunError` if a part can't be written.
    """
    run, pair = place
    bench, prompts = cache(make_bench), [one.prompt for one in texts]  # only for who has something to swap
    for one in run.missing(found, lambda one: [result.named_part(run, pair, one)], partial(progress, STEP)):
        run.write_frame(result.named_part(run, pair, one), swap_unit(bench(), prompts, one))
    directions = [one for one in found if one.kind == DIRECTION]
    for all_of_them in run.missing([directions] if directions else [], partial(_contexts, run, pair)):
        unread = [one for one in all_of_them if not run.exists(*result.contexts_part(run, pair, one))]
        for one, frame in driving_texts(*models, texts, unread).items():
            run.write_frame(result.contexts_part(run, pair, one), frame)
    result.keep_units(run, pair, found, attention_shape(models[0]).n_sharing)


def _contexts(run: RunFolder, pair: Pair, directions: Sequence[Unit]) -> list[tuple[str, str, str]]:
    return [result.contexts_part(run, pair, one) for one in directions]
