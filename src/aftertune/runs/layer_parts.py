"""An analysis that is read layer by layer, in a run folder: a Parquet part for each frame of each layer.

A layer is done when all its parts exist. Beside them lie the vocabulary, once, and ``KIND-ROLE.json``, which says of
the model what its reading says, and which layers are shown. A layer is written while the next one is read. Two
readings can be compared if they were made with the same settings.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import polars as pl

from aftertune.errors import RunError
from aftertune.runs.records import About, OfLayers, record_of
from aftertune.runs.run import RunFolder

Frames = Mapping[str, pl.DataFrame]
Progress = Callable[[str, float, float], None]


class LayerPlan(Protocol):
    """Says which layers are read."""

    def chosen_layers(self, n_layers: int) -> tuple[int, ...]:
        """The layers to read of a model that has ``n_layers``; raises `AttributionError` if it lacks one of them."""
        ...


@dataclass(frozen=True)
class LayerParts:
    """The parts of one ``kind`` of analysis: the names of its ``frames``, and what is said ``about`` a model."""

    kind: str
    frames: tuple[str, ...]
    about: frozenset[str]

    @property
    def words(self) -> tuple[str, str, str]:
        """The part that holds the vocabulary."""
        return self.kind, "words", "words.parquet"

    @property
    def settings(self) -> str:
        """The file that says how the analysis is made."""
        return f"{self.kind}.json"

    def places(self, role: str) -> tuple[str, ...]:
        """Patterns of the places where the frames of all layers of a role lie."""
        return tuple(f"{self.kind}/{name}/{role}/*" for name in self.frames)

    def must_agree(self, run: RunFolder, settings: Mapping[str, Any]) -> None:
        """Raise `RunError` if the run holds the same analysis made with other settings."""
        if run.exists(self.settings):
            run.claim(self.settings, settings, {})

    def roles(self, run: RunFolder) -> list[str]:
        """The roles of which something lies in the run, sorted."""
        found = (re.fullmatch(rf"{self.kind}-(.+)\.json", name) for name in run.names())
        return sorted(match[1] for match in found if match)

    def must_be_of(self, run: RunFolder, role: str) -> None:
        """Raise `RunError` if the run holds other roles, but not this one."""
        held = self.roles(run)
        if held and role not in held:
            raise RunError(
                f"{run.address} holds the {self.kind} of {' and '.join(held)}, not of {role!r}. Ask for a role that it "
                "holds."
            )

    def write(self, run: RunFolder, role: str, layer: int, frames: Frames) -> None:
        """Write the frames of one layer; raises `RunError` if that fails."""
        for name in self.frames:
            run.write_frame(self._part(name, role, layer), frames[name])

    def fill(
        self, run: RunFolder, role: str, layers: Sequence[int], read: Callable[[int], Frames], progress: Progress
    ) -> None:
        """Read the layers that are not there yet, and write each while the next one is read.

        ``progress(kind, done, total)`` is called before each layer and at the end. Where several workers share the run,
        others may still be at work on their layers at the end. Raises what ``read`` raises, and `RunError` if a part
        can't be written.
        """
        parts, tell = partial(self.parts, role), partial(progress, self.kind)
        with written_behind() as write:
            for layer in run.missing(layers, parts, tell, wait=False):
                write(partial(self.write, run, role, layer, read(layer)))

    def parts(self, role: str, layer: int) -> list[tuple[str, str, str]]:
        """The parts of a layer."""
        return [self._part(name, role, layer) for name in self.frames]

    def is_written(self, run: RunFolder, role: str, layer: int) -> bool:
        """Whether all frames of a layer lie in the run."""
        return all(run.exists(*part) for part in self.parts(role, layer))

    def are_measured(self, run: RunFolder, role: str, plan: LayerPlan) -> bool:
        """Whether the words and all layers of the plan lie in the run."""
        about = self.recall(run, role)
        if about is None or not run.exists(*self.words):
            return False
        return all(self.is_written(run, role, layer) for layer in self._chosen(run, role, plan, about["n_layers"]))

    def layers_of(self, run: RunFolder, role: str, plan: LayerPlan) -> tuple[int, ...]:
        """The layers of the plan that can be read of a model; none where nothing was read of it yet."""
        about = self.recall(run, role)
        return () if about is None else self._chosen(run, role, plan, about["n_layers"])

    def show(self, run: RunFolder, role: str, plan: LayerPlan) -> None:
        """Let the run show the layers of the plan from now on; raises `RunError` if it has none of ``role``."""
        about = self.recall(run, role)
        if about is None:
            raise self._lacking(run, role)
        layers = self._chosen(run, role, plan, about["n_layers"])
        if layers != about["layers"]:
            self.remember(run, role, about | {"layers": layers})

    def restrict(self, run: RunFolder, role: str, layers: Sequence[int]) -> None:
        """Keep which layers of a model can be read at all, where not all can."""
        run.remember(f"{self.kind}-{role}-layers.json", {"layers": list(layers)})

    def _chosen(self, run: RunFolder, role: str, plan: LayerPlan, n_layers: int) -> tuple[int, ...]:
        """The layers of the plan, of those that can be read."""
        layers, name = plan.chosen_layers(n_layers), f"{self.kind}-{role}-layers.json"
        able = record_of(run, name, OfLayers)["layers"] if run.exists(name) else layers
        return tuple(layer for layer in layers if layer in able)

    def remember(self, run: RunFolder, role: str, about: Mapping[str, Any]) -> None:
        """Keep what is said about a model."""
        run.remember(f"{self.kind}-{role}.json", dict(about))

    def recall(self, run: RunFolder, role: str) -> dict[str, Any] | None:
        """What `remember` kept; None if nothing was. Raises `RunError` if it is damaged."""
        name = f"{self.kind}-{role}.json"
        if not run.exists(name):
            return None
        about: dict[str, Any] = {**record_of(run, name, About)}
        if set(about) != self.about:
            raise RunError(
                f"{run.path(name)} is of another version of Aftertune, or damaged. Start again in a new folder."
            )
        return {**about, "layers": tuple(about["layers"])}

    def read(self, run: RunFolder, role: str) -> tuple[dict[str, Any], list[dict[str, pl.DataFrame]]]:
        """What is said about a model, and the frames of each layer that is shown.

        Raises `RunError` if they are not there, not complete, or damaged.
        """
        about = self.recall(run, role)
        if about is None or not all(self.is_written(run, role, layer) for layer in about["layers"]):
            raise self._lacking(run, role)
        return about, self.frames_of(run, role, about["layers"])

    def frames_of(self, run: RunFolder, role: str, layers: Sequence[int]) -> list[dict[str, pl.DataFrame]]:
        """The frames of each of these layers; raises `RunError` if one is not there or damaged."""
        return [{name: run.read_frame(self._part(name, role, layer)) for name in self.frames} for layer in layers]

    def _lacking(self, run: RunFolder, role: str) -> RunError:
        return RunError(
            f"The {self.kind} of {role!r} are not there, or not all read yet, in {run.address}. "
            "Start the command that reads them again; it goes on where it stopped."
        )

    def _part(self, name: str, role: str, layer: int) -> tuple[str, str, str]:
        return f"{self.kind}/{name}", role, f"layer-{layer:03d}.parquet"


Write = Callable[[], None]


@contextmanager
def written_behind() -> Iterator[Callable[[Write], None]]:
    """A function that starts a write, once the one before has ended; the last one ends with the context.

    What a write raises is raised where the next one is started, or at the end. If what stands in the context fails or
    is interrupted, a write that has begun still comes to its end.
    """
    last: list[Future[None]] = []

    def start(write: Write) -> None:
        for before in last:
            before.result()
        last[:] = [pool.submit(write)]

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield start
        for write in last:
            write.result()


class Reading(Protocol):
    """What any reading of a model says of itself; ``settings`` must be the same for two to be compared."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary."""

    @property
    def settings(self) -> dict[str, Any]:
        """How the model was read."""


def must_be_alike(base: Reading, tuned: Reading, shape: Sequence[str], further: Sequence[str] = ()) -> None:
    """Raise `RunError` if two readings are of one model, or differ in settings, words or an attribute of ``shape``.

    ``further`` are other differences, in words.
    """
    if base.model == tuned.model:
        raise RunError(f"Both readings are of the model {base.model!r}. Give those of two models, base and tuned.")
    differences = [*_differences(base, tuned, shape), *further]
    if differences:
        raise RunError(
            f"{base.model!r} and {tuned.model!r} were not read alike: {'; '.join(differences)}. Read both with the "
            "same layers, words and settings."
        )


def _differences(base: Reading, tuned: Reading, shape: Sequence[str]) -> list[str]:
    said = {name: (getattr(base, name), getattr(tuned, name)) for name in shape}
    said |= {name: (base.settings.get(name), tuned.settings.get(name)) for name in base.settings | tuned.settings}
    found = [f"{name} is {first} against {second}" for name, (first, second) in said.items() if first != second]
    if base.words != tuned.words:
        found.append(f"the words differ ({len(base.words)} against {len(tuned.words)})")
    return found
