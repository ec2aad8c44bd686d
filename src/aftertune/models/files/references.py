"""What a name stands for, found out before anything large is read.

1. A ``.gguf`` file or a local folder must be there and hold a model (or an adapter).
2. Anything else is a hub id. What lies in the hub's cache is taken from there; else the hub is asked once, for one
   small file, so that a wrong name or a missing connection is told at once and not after a minute of retries.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from aftertune.errors import CheckpointError
from aftertune.models.adapters.alone import is_adapter
from aftertune.models.subject import is_place
from aftertune.places import path_of

HUB_PATIENCE_SECONDS = 10.0
HOW_CHECKPOINT = "Give a folder, a .gguf file, or a hub id (owner/name)."
HOW_TOKENIZER = "Give a folder with a tokenizer.json, or a hub id (owner/name)."
HOW_ADAPTER = "Give a folder that PEFT saved, or a hub id (owner/name)."


class UnreachableError(CheckpointError):
    """What is no folder here, and can't be had from the hub."""


@dataclass(frozen=True)
class Source:
    """What a reference turned out to be: the place that Hugging Face reads from, and a GGUF file in it.

    ``remedy`` is what to do if it cannot be read.
    """

    place: str
    arguments: dict[str, Any]
    remedy: str

    @property
    def is_gguf(self) -> bool:
        """Whether it is a GGUF file."""
        return "gguf_file" in self.arguments


def find_checkpoint(ref: str, revision: str | None = None, *, needs_model: bool = True) -> Source:
    """The source of a checkpoint, or of a tokenizer alone; raises `CheckpointError` if there is none."""
    path = _path(ref, HOW_CHECKPOINT)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise CheckpointError(f"There is no file {ref}. Give the path of a .gguf file, a folder, or a hub id.")
        return Source(str(path.parent), {"gguf_file": path.name}, "Download the file again, or give another.")
    if path.is_dir() and not needs_model:
        return Source(str(path), {}, HOW_TOKENIZER)
    if path.is_dir():
        if is_adapter(path):
            raise CheckpointError(f"{ref} is an adapter, no model. Give its base, and it by --adapter {ref}.")
        if not (path / "config.json").is_file():
            raise CheckpointError(f"The folder {ref} holds no model (no config.json). {_checkpoint_in(path)}")
        if (path / "adapter_config.json").is_file():
            raise CheckpointError(
                f"The folder {ref} holds the weights of a whole model and an adapter beside them, and whether the "
                "weights have the adapter in them already can't be told. Move adapter_config.json and adapter_model.* "
                "away to read the weights as they are, or give the base and the adapter in a folder of its own."
            )
        return Source(str(path), {}, "Download or save the checkpoint again, or give another.")
    if path.is_file():
        raise CheckpointError(f"{ref} is a file, not a checkpoint. Give a folder, a .gguf file, or a hub id.")
    _must_look_like_hub_id(ref, HOW_CHECKPOINT)
    _must_be_on_hub(ref, "config.json" if needs_model else "tokenizer_config.json", revision)
    return Source(ref, {}, "Check the connection, or give a folder or .gguf file that is here.")


def find_adapter(adapter: str) -> str:
    """Where PEFT reads an adapter from (folder or hub id); raises `CheckpointError` if there is none."""
    path = _path(adapter, HOW_ADAPTER)
    if path.is_dir():
        for names in (("adapter_config.json",), ("adapter_model.safetensors", "adapter_model.bin")):
            if not any((path / name).is_file() for name in names):
                raise CheckpointError(f"{adapter} holds no adapter (no {names[0]}). Give a folder that PEFT saved.")
        return str(path)
    if path.is_file():
        raise CheckpointError(f"{adapter} is a file, not an adapter. Give a folder that PEFT saved, or a hub id.")
    _must_look_like_hub_id(adapter, HOW_ADAPTER)
    _must_be_on_hub(adapter, "adapter_config.json", None)
    return adapter


def _checkpoint_in(folder: Path) -> str:
    """What to give in the place of a folder without a model; a training leaves checkpoints in folders of their own."""
    inside = [
        one.parent for name in ("config.json", "adapter_config.json") for one in folder.glob(f"checkpoint-*/{name}")
    ]
    numbered = [one for one in inside if one.name.rpartition("-")[2].isdigit()]
    if not numbered:
        return "Give one of save_pretrained."
    last = max(numbered, key=lambda one: int(one.name.rpartition("-")[2]))
    return f"Give a checkpoint in it, such as {last}."


def _path(ref: str, remedy: str) -> Path:
    if not ref.strip():  # which Path would take for the current folder
        raise CheckpointError(f"There is no folder {ref!r}. {remedy}")
    return path_of(ref, CheckpointError, remedy)


def _must_look_like_hub_id(ref: str, remedy: str) -> None:
    if is_place(ref):
        raise CheckpointError(f"There is no folder {ref!r}. {remedy}")


def _must_be_on_hub(ref: str, file: str, revision: str | None) -> None:
    try:
        if isinstance(try_to_load_from_cache(ref, file, revision=revision), str):
            return
        get_hf_file_metadata(hf_hub_url(ref, file, revision=revision), timeout=HUB_PATIENCE_SECONDS)
    except Exception as error:  # the hub's own exceptions, and those of the HTTP client below it
        raise UnreachableError(_explain(error, ref, file, revision)) from error


def _explain(error: Exception, ref: str, file: str, revision: str | None) -> str:
    if isinstance(error, HFValidationError):
        return f"There is no folder {ref!r} here, and it is no hub id (owner/name) either. Give one of the two."
    if isinstance(error, GatedRepoError):
        return f"The hub gives {ref} only to those whom its owners let in. Ask on its page, then run: hf auth login."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no folder {ref!r} here, and the hub has none of that name for you. Check the name; if it is "
            "private, run: hf auth login."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{ref} has no revision {revision!r} on the hub. Give one of its branches, tags or commits."
    if isinstance(error, EntryNotFoundError):
        return f"{ref} on the hub has no {file}. Give the id of one that has."
    off = isinstance(error, OfflineModeIsEnabled)
    reason = "offline mode is on" if off else (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return (
        f"There is no folder {ref!r} here, and the hub could not be asked for it ({reason}). "
        "Check the name and the connection, or give a folder or .gguf file that is here."
    )
