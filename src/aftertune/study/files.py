"""Are all files there that a study names?  Asked before anything large is imported, let alone loaded.

1. Prompts, words and the like are files, unless they lie at an address of another kind (``hub:``, ``s3://``).
2. A checkpoint or an adapter that can only be a place here must be one, unless it is the name of a served model.
What may be a name on the hub is let through: it is looked for when it is read.
"""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from aftertune.errors import AftertuneError, PromptError, RunError, meant
from aftertune.explainers.settings import file_kind_of
from aftertune.models.subject import Subject, is_place
from aftertune.places import path_of
from aftertune.study.study import Study


class Named(NamedTuple):
    """A place that was named, and what is said where nothing lies there."""

    place: str
    error: type[AftertuneError]
    remedy: str


def must_find_files(study: Study) -> None:
    """Raise `PromptError`, `WordError`, `RunError` or `CheckpointError` for the first place where no file lies."""
    for place, error, remedy in _named(study):
        path = path_of(place.partition("::")[0], error, remedy)
        if not path.exists():
            there = (one.name for one in path.parent.iterdir()) if path.parent.is_dir() else ()
            raise error(f"There is no file at {place}. {remedy}{meant(path.name, there)}")
    for subject in () if study.is_served else study.subjects:
        _must_be_checkpoint(subject)


def _named(study: Study) -> Iterator[Named]:
    chosen = study.explainers
    if any(one.reads_prompts for one in chosen.values()):
        yield from _one(study.prompts, PromptError, "Give the path of a prompt file.")
    for name in chosen:
        settings = study.settings[name]
        for field, about in type(settings).model_fields.items():
            value, kind = getattr(settings, field), file_kind_of(about)
            if kind == "file" or (kind == "name" and isinstance(value, str) and _can_only_be_a_place(value)):
                yield from _one(value, settings.file_error, "Give the path of one that is there.")
    if not isinstance(study.architecture, dict):
        yield from _one(study.architecture, RunError, "Give a description of the architecture, JSON or YAML.")


def _one(value: Any, error: type[AftertuneError], remedy: str) -> Iterator[Named]:
    place = str(value) if isinstance(value, str | PathLike) else ""
    if place.strip() and "://" not in place and not place.startswith("hub:"):
        yield Named(place, error, remedy)


def _must_be_checkpoint(subject: Subject) -> None:
    from aftertune.models.files.references import find_adapter, find_checkpoint

    ref, adapter = str(subject.ref), subject.adapter
    if is_place(ref) or ref.endswith(".gguf") or Path(ref).exists():
        find_checkpoint(ref, subject.revision)
    if adapter is not None and (is_place(str(adapter)) or Path(adapter).exists()):
        find_adapter(str(adapter))


def _can_only_be_a_place(value: str) -> bool:
    return is_place(value) or ("/" not in value and Path(value).suffix != "")
