"""An adapter's folder names its base: so it is a whole comparison by itself.

1. What has an ``adapter_config.json`` and no ``config.json`` is an adapter: a folder here, or a hub id whose files lie
   in the hub's cache. A folder may have a ``config.json`` beside it, as long as it has no weights of a whole model.
2. Its base is ``base_model_name_or_path``, at its ``revision``. Of a 4-bit upload the full-precision base is taken,
   which is named without the ending.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from aftertune.errors import CheckpointError, translated
from aftertune.models.subject import is_place
from aftertune.places import path_of, read_text

CONFIG = "adapter_config.json"
WHOLE = tuple(f"{name}{index}" for name in ("model.safetensors", "pytorch_model.bin") for index in ("", ".index.json"))
QUANTISED = re.compile(r"(-unsloth)?-bnb-4bit$")


@dataclass(frozen=True)
class Base:
    """The base of an adapter, as `aftertune.load` takes it."""

    ref: str
    revision: str | None = None


def is_adapter(ref: str | Path) -> bool:
    """Whether a reference is an adapter, and no checkpoint; nothing is downloaded to find out."""
    if _file(ref, CONFIG) is None:
        return False
    is_here = Path(ref).expanduser().is_dir()
    return all(_file(ref, name) is None for name in (WHOLE if is_here else ("config.json",)))


def base_of(adapter: str | Path) -> Base:
    """The base that an adapter was trained on; raises `CheckpointError` if it names none that can be looked for."""
    file = _file(adapter, CONFIG)
    with translated(CheckpointError, f"{CONFIG} of {adapter} can't be read", "Save the adapter again."):
        config = {} if file is None else json.loads(read_text(str(file), CheckpointError))
        name, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not name or not isinstance(name, str):
        raise CheckpointError(
            f"The adapter {adapter} does not name its base. Give it: aftertune compare BASE {adapter}."
        )
    full = QUANTISED.sub("", name)
    beside = Path(adapter).expanduser() / full  # a relative place, as seen from the adapter
    if not Path(full).expanduser().exists() and beside.exists():
        return Base(str(beside))
    path = Path(full).expanduser()
    if (is_place(full) and not path.exists()) or (path.is_dir() and not (path / "config.json").is_file()):
        raise CheckpointError(
            f"The base of the adapter {adapter} was {name}, which is no checkpoint here. Give its base: "
            f"aftertune compare BASE {adapter}."
        )
    return Base(full, revision if isinstance(revision, str) and full == name else None)


def _file(ref: str | Path, name: str) -> Path | None:
    """A file of a folder, or of a hub id as far as it lies in the cache; None where there is none."""
    path = path_of(ref, CheckpointError, "Give a folder, a .gguf file, or a hub id (owner/name).")
    if path.exists():
        return path / name if (path / name).is_file() else None
    if is_place(str(ref)) or not str(ref).strip() or str(ref).endswith(".gguf"):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(str(ref), name)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None
