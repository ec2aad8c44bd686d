"""Can two readings be compared?  Only those of two models that were read alike."""

from collections.abc import Sequence
from typing import Any, Protocol

from aftertune.errors import RunError


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
