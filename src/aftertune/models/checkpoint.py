"""From a name to a frozen model with its tokenizer and its provenance.

1. Find out what the reference is: a live model, a ``.gguf`` file, a local folder, or a hub id (`references`).
2. Read the configuration first, and refuse an architecture that can't be described before any weight is read; then
   the tokenizer.
3. Read the weights, or leave them on disk (`mapped`), or hold them in fewer bits (`narrower`); a weight that is
   missing, has another shape, has no place in a layer, or is not finite is an error, not a warning.
4. Merge the adapter if there is one, so that every explainer sees plain weights.
5. Fingerprint the weights as they will be used.
6. Check that the logits of a few tokens are finite, and a description that is not one of the table on what the model
   computes (`proof`).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftertune.errors import CheckpointError
from aftertune.models.adapters.live import is_wrapped, merged_copy
from aftertune.models.adapters.merge import merge_adapter
from aftertune.models.adapters.tokenizer import tokenizer_with
from aftertune.models.architectures import ARCHITECTURES, find_description, text_part
from aftertune.models.description import Architecture, Description, read_description
from aftertune.models.files.narrower import NARROW, arguments_of, must_be_able
from aftertune.models.files.quantised import must_be_plain
from aftertune.models.files.reading import (
    has_tokenizer,
    read_config,
    read_own_tokenizer,
    read_tokenizer_at,
    read_weights,
)
from aftertune.models.files.references import Source, find_checkpoint
from aftertune.models.files.weights import must_hold_weights
from aftertune.models.fingerprint import fingerprint, versions
from aftertune.models.loaded import Checkpoint as Checkpoint
from aftertune.models.loaded import rule_of
from aftertune.models.machine import PLACES
from aftertune.models.machine import chosen_device as chosen_device
from aftertune.models.machine import chosen_dtype as chosen_dtype
from aftertune.models.mapped.files import must_be_mappable, read_mapped
from aftertune.models.mapped.memory import ON_DISK
from aftertune.models.mapped.offloaded import keep_where_they_lie
from aftertune.models.products.digits import multiply_as
from aftertune.models.proof import must_predict, prove
from aftertune.models.temporary_state import quiet
from aftertune.runs.provenance import Provenance


def load(
    ref: str | Path | PreTrainedModel,
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    revision: str | None = None,
    *,
    tokenizer: PreTrainedTokenizerBase | str | Path | None = None,
    trust_remote_code: bool = False,
    architecture: Architecture | None = None,
) -> Checkpoint:
    """Load a checkpoint for explanation.

    ``ref`` is a hub id, a local folder, a ``.gguf`` file, or a transformers model that is already in memory (which
    then needs its ``tokenizer`` and is left as it was; of one with adapters inside, PEFT's wrapper too, a copy is taken
    in which they are merged). ``adapter`` is a PEFT adapter (folder or hub id), merged into the weights; the tokenizer
    and the chat template that were saved with it take the place of the model's. ``tokenizer`` may also be the place of
    one (folder or hub id), for a checkpoint that has none of its own. Weights that bitsandbytes quantised are
    dequantised, where it is installed.
    ``device`` is "auto" (CUDA, else CPU), "cpu", "cuda", "cuda:1", "mps", "balanced" (spread over all GPUs by
    accelerate; what finds no room there stays in memory or on disk, and is brought when it computes), or "disk"
    (weights stay in their files, are read one at a time, and computed on the CPU). ``dtype`` is one of float32,
    bfloat16, float16, float64; tf32, which is float32 with products that a GPU takes in TF32, in all of this process
    from then on; or int8 or int4, in which bitsandbytes holds weights that are only run.

    An architecture that Aftertune does not know by name is told by its structure, where its layers are built like
    Llama's. ``architecture`` describes one that is not: a mapping, or a JSON or YAML file of one, with the fields of
    `aftertune.models.description.Description`; those that are left out are Llama's. Either description must give back
    what the model computes: its logits, and in a few layers queries, keys and what the feed-forward network writes. Of
    a model with images or sound the part that reads text is taken.

    Raises `CheckpointError` if anything of it is missing, damaged, of an architecture that can't be described, or does
    not fit.
    """
    described = None if architecture is None else read_description(architecture)
    if is_wrapped(ref) or isinstance(ref, PreTrainedModel):
        return _adopt(ref, tokenizer, adapter, described)
    place, kind = chosen_device(device), chosen_dtype(dtype)
    multiply_as(dtype, place)
    source = find_checkpoint(str(ref), revision)
    shared = {"trust_remote_code": trust_remote_code, "revision": revision, **source.arguments}
    with quiet():
        config, described = read_config(ref, source, shared, described)
        shared["config"] = config  # else each reader parses it again, which for a GGUF file takes seconds
        if tokenizer is None or isinstance(tokenizer, str | Path):
            tokenizer = _tokenizer(ref, source, shared, adapter, tokenizer)
        if Path(source.place).is_dir() and not source.is_gguf:
            must_hold_weights(Path(source.place), str(ref))
        if dtype in NARROW:
            must_be_able(dtype, config, str(ref), is_gguf=source.is_gguf, adapter=adapter, device=place)
            model = read_weights(ref, source, config, shared | arguments_of(dtype, place))
        else:
            model = _read(ref, source, config, shared, place, kind)
        if adapter is not None:
            model = merge_adapter(model, str(adapter))
        model = text_part(model)
    if place not in PLACES and dtype not in NARROW:
        model.to(place)
    model.eval().requires_grad_(False)
    read = Read(_name(str(ref)), revision, adapter, dtype, place == ON_DISK)
    return _checked(model, tokenizer, described, read)


def _read(
    ref: Any, source: Source, config: Any, shared: dict[str, Any], place: str, dtype: torch.dtype
) -> PreTrainedModel:
    if place == "balanced":
        with TemporaryDirectory(prefix="aftertune-", ignore_cleanup_errors=True) as folder:  # for what is left on disk
            how = {"dtype": dtype, "device_map": place, "offload_folder": folder}
            spread = read_weights(ref, source, config, {**shared, **how})
            keep_where_they_lie(spread, dtype)
            return spread
    if place != ON_DISK:
        return read_weights(ref, source, config, {**shared, "dtype": dtype, "device_map": None})
    must_be_mappable(config, str(ref), source.is_gguf)
    return read_mapped(lambda **how: read_weights(ref, source, config, {**shared, **how}), str(ref), dtype)


def read_tokenizer(
    ref: str | Path,
    revision: str | None = None,
    *,
    adapter: str | Path | None = None,
    spare: str | Path | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint (see `load`) without its weights; raises `CheckpointError` if there is none.

    That of an adapter goes before the checkpoint's; ``spare`` is the place of one for a checkpoint that has none.
    """
    source = find_checkpoint(str(ref), revision)
    shared = {"trust_remote_code": trust_remote_code, "revision": revision, **source.arguments}
    with quiet():
        return _tokenizer(ref, source, shared, adapter, spare)


def _tokenizer(
    ref: Any, source: Source, shared: dict[str, Any], adapter: str | Path | None, spare: str | Path | None
) -> PreTrainedTokenizerBase:
    found: PreTrainedTokenizerBase | None = None
    if spare is None and adapter is not None and not has_tokenizer(source):
        found = tokenizer_with(None, adapter)
    return found or tokenizer_with(read_own_tokenizer(ref, source, shared, spare), adapter)


def _name(ref: str) -> str:
    path = Path(ref).expanduser()
    return path.resolve().name.removesuffix(".gguf") if path.exists() else ref


def _adopt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | str | Path | None,
    adapter: str | Path | None,
    described: Description | None,
) -> Checkpoint:
    if tokenizer is None:
        raise CheckpointError("A model in memory needs its tokenizer: load(model, tokenizer=tokenizer).")
    if isinstance(tokenizer, str | Path):
        tokenizer = read_tokenizer_at(tokenizer)
    if adapter is not None:
        raise CheckpointError(
            "An adapter can't be merged into your model in memory, which is left as it is. "
            "Give the model's folder or hub id with the adapter, or merge it yourself."
        )
    must_be_plain(model)
    model = merged_copy(model) if is_wrapped(model) else model
    name = model.config.name_or_path or type(model).__name__
    part = text_part(model)
    return _checked(part, tokenizer, described or find_description(part.config, part), Read(name))


@dataclass(frozen=True)
class Read:
    """How a model was read: its name, revision and adapter, the dtype asked for if one was, whether it lies on disk."""

    name: str
    revision: str | None = None
    adapter: str | Path | None = None
    dtype: str | None = None
    on_disk: bool = False


def _checked(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, described: Description, read: Read
) -> Checkpoint:
    name, adapter = read.name, None if read.adapter is None else Path(str(read.adapter)).name
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"The tokenizer of {name} ({type(tokenizer).__name__}) gives no character offsets. "
            "Use a checkpoint with a fast tokenizer (tokenizer.json)."
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise CheckpointError(
            f"The tokenizer of {name} has {len(tokenizer)} tokens, its embedding only {rows} rows. "
            "They belong to different models; give the tokenizer that the model was trained with."
        )
    provenance = Provenance(
        name=name if adapter is None else f"{name} + {adapter}",
        revision=read.revision or getattr(model.config, "_commit_hash", None),
        adapter=adapter,
        architecture=model.config.model_type,
        n_parameters=model.num_parameters(),
        dtype=read.dtype or str(model.dtype).removeprefix("torch."),
        device=ON_DISK if read.on_disk else str(model.device),
        fingerprint=fingerprint(model, name),
        versions=versions(),
    )
    checkpoint = Checkpoint(model, tokenizer, provenance, described, rule_of(model.config))
    must_predict(checkpoint)
    return checkpoint if described in ARCHITECTURES.values() else replace(checkpoint, logit_rule=prove(checkpoint))
