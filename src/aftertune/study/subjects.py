"""Which models does a study compare?  Names, adapters, revisions and servers as they were given -> its subjects.

1. An adapter's folder may stand for a checkpoint; models of servers need no names where each server has one.
2. What is said of each (`OF_SUBJECTS`) is given once for each, in their order.
3. Models behind servers are compared with each other only.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from aftertune.errors import RunError
from aftertune.models.adapters.alone import base_of, is_adapter
from aftertune.models.served.address import must_be_address
from aftertune.models.subject import Subject, place_name

Given = str | Path | Subject
OF_SUBJECTS = ("adapter", "revision", "name", "server")


def subjects_of(role: str, given: Given | Sequence[Given] | None, values: dict[str, Any]) -> tuple[Subject, ...]:
    """The checkpoints of a role, with what ``values`` says of them: one value each, "" for none."""
    said = {name: several(values.pop(f"{role}_{name}", None)) for name in OF_SUBJECTS}
    found = [given] if isinstance(given, str | Path | Subject) else list(given or ())
    if not found:
        raise RunError(f"No {role} checkpoint was given. Give a hub id, a folder, or a .gguf file.")
    for name, each in said.items():
        if each and len(each) != len(found):
            raise RunError(
                f"{role}-{name} is given {len(each)} times for {len(found)} {role} checkpoints. Give it once for each, "
                'in their order, "" for none.'
            )
    rows = zip_longest(found, *(said[name] for name in OF_SUBJECTS))
    return tuple(_subject(one, dict(zip(OF_SUBJECTS, rest, strict=True))) for one, *rest in rows)


def must_be_checkpoints(given: Any) -> None:
    """Raise `RunError` for tuned checkpoints that are no place, and no list of places."""
    if given is not None and not isinstance(given, str | Path | Subject | Sequence):
        raise RunError(f"tuned is {given!r:.80}. Give a hub id, a folder, or a .gguf file, or several in a list.")


def with_bases(
    base: Given | None, tuned: Given | Sequence[Given] | None, said: Mapping[str, Any]
) -> tuple[Given | None, list[Given]]:
    """Base and tuned, adapters among them with the base that they are merged into; of servers their only models."""
    must_be_checkpoints(tuned)
    found = [tuned] if isinstance(tuned, str | Path | Subject) else list(tuned or ())
    if said.get("base_server") or said.get("tuned_server"):
        is_base_missing = base is None and not said.get("base_server")
        if is_base_missing or (not found and not said.get("tuned_server")):
            raise RunError(
                "Two servers are needed: give base_server (--base-server) and tuned_server (--tuned-server)."
            )
        return base or "", found or [""] * len(several(said.get("tuned_server")))
    if isinstance(base, str | Path) and not said.get("base_adapter") and is_adapter(base):
        own = base_of(base)
        merged = Subject(own.ref, base, own.revision, name=place_name(base))
        if found:
            base = merged
        else:
            base, found = Subject(own.ref, revision=own.revision), [merged]
    elif isinstance(base, str | Path) and not found and not said.get("tuned_adapter"):
        raise RunError(
            "No tuned checkpoint was given. Give two (aftertune compare BASE TUNED), or one adapter that lies here: "
            f"{base} has no adapter_config.json. Of an adapter on the hub: compare BASE BASE --tuned-adapter {base}."
        )
    ref, revision = (base.ref, base.revision) if isinstance(base, Subject) else (base, None)
    if ref is not None:
        found = found or [Subject(ref, revision=revision)] * len(several(said.get("tuned_adapter")))
        found = [
            Subject(ref, one, revision, name=place_name(one))
            if isinstance(one, str | Path) and is_adapter(one)
            else one
            for one in found
        ]
    return base, found


def must_be_named(base: Any, tuned: Any) -> None:
    """Raise `RunError` for a model in memory: a run has to find its checkpoints again."""
    for one in (base, *(tuned if isinstance(tuned, list | tuple) else (tuned,))):
        if hasattr(one, "state_dict"):
            raise RunError(
                f"A {type(one).__name__} in memory can't be a checkpoint of a study, which has to find it again. Save "
                "it (save_pretrained) and give the folder; or load it with aftertune.load(model, tokenizer=tokenizer) "
                "and read it by itself: attribute, read_heads, read_concepts."
            )


def must_all_be_served(subjects: Sequence[Subject]) -> None:
    """Raise `RunError` for models of which some are served, or that no server has as they were named.

    Raises `CheckpointError` for what is no address of a server.
    """
    served = [one for one in subjects if one.server is not None]
    for one in served:
        must_be_address(str(one.server))
    if served and len(served) < len(subjects):
        raise RunError(
            "Some of the models are behind a server and others are checkpoints here: their probabilities are computed "
            "differently, so they can't be compared. Give a server for each (base-server, tuned-server), or for none."
        )
    if any(one.adapter or one.revision for one in served):
        raise RunError("A served model has no adapter and no revision of its own. Serve the model with them merged.")
    if len({(one.server, one.ref) for one in served}) < len(served):
        raise RunError("Two of the models are the same model of the same server. Give each its own.")


def _subject(given: Given, said: Mapping[str, Any]) -> Subject:
    told = {name: value for name, value in said.items() if value}
    if isinstance(given, Subject):
        return Subject(given.ref, **({name: getattr(given, name) for name in OF_SUBJECTS} | told))
    return Subject(given, **told)


def several(value: Any) -> tuple[Any, ...]:
    """Values given one by one, as many as there are."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
