"""The concepts of a run that are to be annotated."""

from dataclasses import dataclass
from typing import Any

from aftertune.errors import AnnotationError
from aftertune.explainers.concepts import parts as concept_parts
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.runs.run import RunFolder

PLACE = ("role", "layer", "expert", "rank")


@dataclass(frozen=True)
class Concept:
    """A principal component by its place, with its words."""

    role: str
    layer: int
    expert: int
    rank: int
    words: tuple[str, ...]

    def place(self) -> dict[str, Any]:
        """Where it was found: ``role, layer, expert, rank``."""
        return {name: getattr(self, name) for name in PLACE}


def find_concepts(run: RunFolder, n_components: int | None = None) -> list[Concept]:
    """The concepts of every model of the run, only the first ``n_components`` of each network if given.

    Raises `AnnotationError` if there are none, `RunError` if they are not all read yet.
    """
    readings = {role: concept_parts.open_concepts(run, role) for role in _roles(run)}
    return [one for role, reading in readings.items() for one in _of_reading(role, reading, n_components)]


def _roles(run: RunFolder) -> list[str]:
    roles = concept_parts.CONCEPTS.roles(run)
    if not roles:
        raise AnnotationError(
            f"No concepts are read in {run.address}. Give the folder of aftertune concepts, or of a comparison whose "
            "concepts were not skipped."
        )
    return roles


def _of_reading(role: str, reading: ConceptReading, n_components: int | None) -> list[Concept]:
    rows = reading.components.select("layer", "expert", "rank", "words").iter_rows()
    found = [Concept(role, layer, expert, rank, tuple(words)) for layer, expert, rank, words in rows]
    return [one for one in found if n_components is None or one.rank <= n_components]
