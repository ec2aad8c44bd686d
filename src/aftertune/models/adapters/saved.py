"""What lies in an adapter's folder, and can it be merged?  Told from its configuration and the headers of its files.

1. The configuration must be one that PEFT reads, of a kind that changes weights. Prompt tuning and its like put
   trained vectors before the prompt instead: there is nothing to merge.
2. The file of weights must be whole.
3. The adapter is laid over a model without numbers: each of its weights must have a place there, of its own shape,
   and each place its weight.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.hub import cached_file

from aftertune.errors import CheckpointError, translated
from aftertune.models.adapters.rows import growth_of, names_of_embeddings, resize
from aftertune.models.adapters.tying import untie
from aftertune.models.files.limits import MOST_LAYERS
from aftertune.models.files.references import find_adapter
from aftertune.models.files.weights import Shapes, must_be_whole
from aftertune.models.temporary_state import quiet
from aftertune.places import read_text

CONFIG = "adapter_config.json"
OUTSIDE = "base_model.model."  # what PEFT puts before the names of the model that it wraps
TOKENS = re.compile(r"token_adapter|trainable_tokens_delta")
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
BEFORE_PROMPTS = {"PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", "CARTRIDGE"}
BESIDE_LAYERS = {"ADAPTION_PROMPT", "XLORA", "POLY"}


@dataclass(frozen=True)
class SavedAdapter:
    """An adapter as it lies on disk: its ``place``, its configuration, and the shapes of its weights."""

    name: str
    place: Path
    config: Mapping[str, Any]

    @cached_property
    def shapes(self) -> Shapes:
        """The names and shapes of its weights; raises `CheckpointError` for a file that can't be read."""
        file = next(self.place / name for name in WEIGHTS if (self.place / name).is_file())
        found = must_be_whole(file, f"{self.name}/{file.name}")
        if not found:
            raise CheckpointError(
                f"The adapter {self.name} is empty: its {file.name} holds no weight. With DeepSpeed's ZeRO-3 they have "
                "to be gathered before they are saved; save it again."
            )
        return found

    def must_be_whole(self) -> None:
        """Raise `CheckpointError` for a file of weights that can't be read."""
        assert self.shapes, "one that is empty is refused"

    def changes_one_of(self, names: Iterable[str]) -> bool:
        """Whether it has weights for the input or the output embeddings, which have these names.

        PEFT's trainable tokens are not among them: of embeddings that are one tensor they change both.
        """
        keys = [f".{key}." for key in self.shapes if not TOKENS.search(key)]
        return any(f".{name}." in key for key in keys for name in names)

    @property
    def token_indices(self) -> frozenset[int]:
        """The tokens that have a trained row of their own (PEFT's trainable tokens)."""
        given = self.config.get("trainable_token_indices") or self.config.get("token_indices") or ()
        lists = given.values() if isinstance(given, Mapping) else [given]
        return frozenset(int(one) for each in lists for one in each)


def read_saved(adapter: str) -> SavedAdapter:
    """An adapter's folder (or hub id); raises `CheckpointError` for what can't be merged into a base."""
    if find_spec("peft") is None:
        raise CheckpointError("An adapter needs the package peft. Install it: pip install 'aftertune[lora]'.")
    place = _local(find_adapter(adapter))
    saved = SavedAdapter(adapter, place, _config(adapter, place))
    _must_change_weights(saved)
    return saved


def must_fit_config(saved: SavedAdapter, config: Any, *, trust_remote_code: bool = False) -> Any:
    """The configuration with the adapter merged in, which may repeat layers or have other tokens.

    Raises `CheckpointError` if the adapter has not the weights that a model of this configuration needs.
    """
    what = f"The adapter {saved.name} can't be laid over its base"
    with quiet(), translated(CheckpointError, what, "Save the adapter again."), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
        make_ready(model, saved)
        must_fit(saved, model, wanted_of(saved, laid_over(saved, model)))
    return model.config


def make_ready(model: Any, saved: SavedAdapter) -> None:
    """Give a base the embeddings that an adapter was trained with: of that size, and two tensors where it needs two.

    Raises `CheckpointError` if the adapter lacks the numbers of new rows.
    """
    growth = growth_of(saved.name, saved.shapes, model, saved.token_indices)
    if growth is not None:
        resize(model, growth)
    if saved.changes_one_of(names_of_embeddings(model)) and not saved.config.get("ensure_weight_tying"):
        untie(model)


def key_mapping(saved: SavedAdapter, model: Any) -> dict[str, str]:
    """How an adapter's names have to be changed for a model, as PEFT takes it: after what it puts before them.

    There is something to change for one that was trained on the model without its output head.
    """
    inner = getattr(model, model.base_model_prefix, model)
    inside = {name for name, _ in inner.named_children()} - {name for name, _ in model.named_children()}
    firsts = {name.removeprefix(OUTSIDE).partition(".")[0] for name in saved.shapes}
    return {"^": f"{model.base_model_prefix}."} if firsts & inside else {}


def laid_over(saved: SavedAdapter, model: Any) -> Any:
    """PEFT's wrapper of a model without numbers; raises `CheckpointError` if the adapter finds no place in it."""
    from peft import PeftConfig, get_peft_model

    try:
        config: Any = PeftConfig.from_pretrained(str(saved.place))
        if hasattr(config, "init_lora_weights"):
            config.init_lora_weights = False  # some initialisations compute with the base's numbers
        return get_peft_model(model, config)
    except Exception as error:  # PEFT raises its own for each kind
        raise unfit(saved.name, type(model).__name__, reason_of(error)) from error


def wanted_of(saved: SavedAdapter, wrapped: Any) -> Shapes:
    """The weights that PEFT's wrapper of a model needs, and those of the model itself that were saved beside them."""
    from peft import get_peft_model_state_dict

    # "auto" would ask the hub whether the vocabulary grew; embeddings saved for that are plain weights of the model.
    needed = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    plain = {name.replace(".default.", "."): one for name, one in wrapped.state_dict().items()}
    given = _renamed(saved.shapes, key_mapping(saved, wrapped.get_base_model()))
    plain = {name: one for name, one in plain.items() if name in given}
    return {name: tuple(one.shape) for name, one in (needed | plain).items()}


def _renamed(shapes: Shapes, mapping: Mapping[str, str]) -> Shapes:
    for pattern, new in mapping.items():
        own = {name.removeprefix(OUTSIDE): shape for name, shape in shapes.items()}
        shapes = {f"{OUTSIDE}{re.sub(pattern, new, name)}": shape for name, shape in own.items()}
    return shapes


def must_fit(saved: SavedAdapter, model: Any, wanted: Shapes) -> None:
    """Raise `CheckpointError` unless every weight has its place, of its shape, and every place its weight."""
    given, kind = _renamed(saved.shapes, key_mapping(saved, model)), type(model).__name__
    missing, extra = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    other = [name for name in sorted(wanted.keys() & given.keys()) if wanted[name] != given[name]]
    if missing or extra:
        raise unfit(
            saved.name,
            kind,
            f"{len(missing)} of its {len(wanted)} weights are missing and {len(extra)} have no place in the model "
            f"(first: {(missing + extra)[0]})",
        )
    if other:
        name = other[0]
        raise unfit(
            saved.name,
            kind,
            f"{len(other)} of its {len(wanted)} weights have another shape (first: {name} is {given[name]}, the base "
            f"needs {wanted[name]})",
        )


def unfit(adapter: str, kind: str, reason: str) -> CheckpointError:
    """The refusal of an adapter that does not suit its base."""
    return CheckpointError(
        f"The adapter {adapter} does not fit {kind}: {reason.rstrip('.')}. "
        "Give a whole LoRA adapter that was trained on this base."
    )


def reason_of(error: Exception) -> str:
    """The line of an exception that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # torch lists what is wrong below a headline that says nothing
    return " ".join(next((line for line in lines if "mismatch" in line), lines[0]).split())[:300]


def _config(adapter: str, place: Path) -> Mapping[str, Any]:
    with translated(CheckpointError, f"{CONFIG} of {adapter} can't be read", "Save the adapter again."):
        found = json.loads(read_text(str(place / CONFIG), CheckpointError))
    if not isinstance(found, dict) or not found.get("peft_type"):
        raise CheckpointError(f"{CONFIG} of {adapter} does not say what kind it is (peft_type). Save it again by PEFT.")
    with translated(CheckpointError, f"{CONFIG} of {adapter} can't be used", "Save the adapter again."):
        n_layers = sum(int(stop) - int(start) for start, stop in found.get("layer_replication") or ())
    if n_layers > MOST_LAYERS:
        raise CheckpointError(
            f"{CONFIG} of {adapter} repeats layers until there are {n_layers:,}. At most {MOST_LAYERS:,} can be read: "
            "save the adapter again."
        )
    return found


def _must_change_weights(saved: SavedAdapter) -> None:
    from peft.utils.peft_types import PeftType

    kind = str(saved.config["peft_type"]).upper()
    if kind in BEFORE_PROMPTS:
        raise CheckpointError(
            f"{saved.name} is no LoRA adapter but {kind.replace('_', ' ').lower()}: it puts trained vectors before the "
            "prompt and changes no weight of the model, so there is nothing to compare. Aftertune reads LoRA and other "
            "adapters that can be merged into weights."
        )
    if kind in BESIDE_LAYERS or kind not in PeftType.__members__:
        known = "PEFT can't merge that into weights" if kind in BESIDE_LAYERS else "PEFT here does not know that kind"
        raise CheckpointError(
            f"The adapter {saved.name} is of the kind {kind}: {known}. Update peft, or give an adapter that can be "
            "merged, such as LoRA."
        )


def _local(place: str) -> Path:
    """The folder that PEFT's files lie in; those of a hub id are brought into the cache."""
    if Path(place).is_dir():
        return Path(place)
    quietly = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    found = [cached_file(place, name, **quietly) for name in (CONFIG, *WEIGHTS)]
    if found[0] is None or not any(found[1:]):
        raise CheckpointError(
            f"The adapter {place} could not be downloaded whole. Check the connection, or give a folder that is here."
        )
    return Path(found[0]).parent
