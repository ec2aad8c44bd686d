"""Can these checkpoints be compared?  Everything that can be refused is refused here, before any work.

1. All must be there, of an architecture that can be read.
2. Where prompts are read, all must read every prompt as the same tokens, since they are compared token by token,
   and have room for a response.
3. Where weights are read, all must have as many layers and heads of the same size.
4. Each explainer refuses what it can't do with them, or not in this run folder.
5. Once a checkpoint is loaded, the same is asked of it, and the run is bound to its weights.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.errors import CheckpointError, RunError
from aftertune.explainers import AnyExplainer
from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.subject import Subject
from aftertune.prompts.prompt import Prompt
from aftertune.runs.records import Fingerprint, FingerprintVersion, identity_of, record_of
from aftertune.runs.roles import MODEL
from aftertune.runs.run import RunFolder
from aftertune.study.reader import PromptReader
from aftertune.study.tokens import named, vocabulary_of

if TYPE_CHECKING:
    from aftertune.models import Checkpoint
    from aftertune.models.weights import AttentionShape

Tokens = Mapping[str, Sequence[int]]
UNTOLD = 1  # the version of fingerprints that do not say theirs


def must_be_comparable(
    configs: Sequence[Any],
    readers: Sequence[PromptReader],
    works: Iterable[Work],
    inputs: Inputs,
    run: RunFolder,
    *,
    reads_weights: bool,
) -> None:
    """Raise what is wrong with checkpoints of these configurations (None for one that can't be read quickly).

    ``readers`` are those of the checkpoints, none where no prompts are read. Fills ``inputs.lengths``. A mistake in the
    last checkpoint must not be told after hours of work on the first.
    """
    inputs.lengths[:] = lengths_of_prompts(inputs.prompts, readers)
    if reads_weights:
        must_have_the_same_shape(configs)
    for work in works:
        work.must_fit(configs, run)


def must_have_weights(chosen: Mapping[str, AnyExplainer], dtype: str) -> None:
    """Raise `AttributionError` where any of the explainers reads weights, and these are held in 8 or 4 bit."""
    from aftertune.models.files.narrower import must_have_plain_weights

    must_have_plain_weights(dtype, [name for name, one in chosen.items() if one.reads_weights])


def must_be_there(
    subjects: Sequence[Subject],
    trust_remote_code: bool,
    architecture: Any = None,
    tokenizer: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "float32",
) -> list[Any]:
    """The checkpoints' configurations; raises one `CheckpointError` with all that is wrong with any of them."""
    from aftertune.models import must_be_loadable
    from aftertune.models.files.references import UnreachableError
    from aftertune.models.loadable import mistakes_of, raise_all

    how: dict[str, Any] = {"trust_remote_code": trust_remote_code, "architecture": architecture, "tokenizer": tokenizer}
    how |= {"device": device, "dtype": dtype}
    configs, wrong = [], list[str]()
    for one in subjects:
        try:
            configs.append(must_be_loadable(one.ref, one.adapter, one.revision, **how))
        except UnreachableError as error:
            wrong.append(f"{error}{_named_as_base(one, subjects)}")
        except CheckpointError as error:
            wrong += mistakes_of(error)
    if wrong:
        raise_all(wrong)
    return configs


def _named_as_base(subject: Subject, subjects: Iterable[Subject]) -> str:
    """Who named a checkpoint that can't be reached, where an adapter's own configuration did."""
    from aftertune.models.adapters.alone import base_of, is_adapter

    for adapter in (one.adapter for one in subjects if one.adapter is not None and is_adapter(one.adapter)):
        if str(base_of(adapter).ref) == str(subject.ref):
            return (
                f" The adapter names it as its base, in {Path(adapter) / 'adapter_config.json'}. To give the base's "
                f"place: aftertune compare BASE {adapter}."
            )
    return ""


def lengths_of_prompts(prompts: Sequence[Prompt], readers: Sequence[PromptReader]) -> list[int]:
    """Every prompt's number of tokens, which are the same for all ``readers``; none where nobody reads.

    Raises `CheckpointError` if two read a prompt differently, and what `PromptReader.read` raises.
    """
    found = [reader.tokens(prompts) for reader in readers]
    tokenizers = [reader.tokenizer for reader in readers]
    for (before, one), (now, other) in pairwise(zip(found, tokenizers, strict=True)):
        must_be_same_tokens(before, now, one, other)
    return [len(ids) for ids in found[-1].values()] if found else []


def must_be_same_tokens(before: Tokens, now: Tokens, tokenizer: Any, other: Any) -> None:
    """Raise `CheckpointError` if two checkpoints, with these tokenizers, read a prompt as other tokens."""
    differing = [id for id in now if now[id] != before[id]]
    if not differing:
        return
    first = f"{len(differing)} of {len(now)} prompts as different tokens (the first is {differing[0]!r})"
    added = _only_in_one([*(before[id] for id in differing)], tokenizer, other)
    added += _only_in_one([*(now[id] for id in differing)], other, tokenizer)
    if added:
        raise CheckpointError(
            f"The checkpoints read {first}: there are tokens in them that only one of the checkpoints has "
            f"({named(added)}), so the other can't read them. Leave these prompts out, or, where a chat template "
            "writes such tokens, use the template raw."
        )
    raise CheckpointError(
        f"The checkpoints read {first}: their tokenizers or chat templates differ, so their responses can't be "
        "compared token by token. Give checkpoints with the same tokenizer, or use the template raw."
    )


def _only_in_one(prompts: Sequence[Sequence[int]], tokenizer: Any, other: Any) -> list[str]:
    """The tokens of prompts that the other tokenizer has not."""
    used, known = {id for ids in prompts for id in ids}, vocabulary_of(other)
    if known is None:
        return []
    return [token for token in tokenizer.convert_ids_to_tokens(sorted(used)) if token not in known]


def must_have_the_same_shape(configs: Sequence[Any]) -> None:
    """Raise `CheckpointError` if two configurations differ in their layers and heads; None is let through."""
    from aftertune.models.weights import shape_of

    for before, now in pairwise(shape_of(config) for config in configs if config is not None):
        if before != now:
            raise CheckpointError(
                f"The checkpoints have different attention heads: {_shape(before)} and {_shape(now)}. Head is compared "
                "with head and layer with layer, so give a model and its tune, or leave out what reads weights."
            )


def must_fit_loaded(checkpoint: "Checkpoint", works: Iterable[Work], inputs: Inputs, run: RunFolder) -> None:
    """Check again with a loaded checkpoint: of some, as a GGUF file, little can be told before. Nothing is written."""
    context = checkpoint.context_length if inputs.needs_room else None
    PromptReader(checkpoint.tokenizer, inputs.template, context).tokens(inputs.prompts)
    for work in works:
        work.must_fit([checkpoint.model.config], run)


def told_of(checkpoint: "Checkpoint") -> dict[str, Any]:
    """What a run says of a checkpoint: its provenance, and the digest of what else decides what it does."""
    from aftertune.models.fingerprint import FINGERPRINT_VERSION, configuration_digest

    told = {"configuration": configuration_digest(checkpoint.model, checkpoint.tokenizer)}
    return checkpoint.provenance.to_dict() | told | {"fingerprint_version": FINGERPRINT_VERSION}


def claim_weights(run: RunFolder, role: str, told: Mapping[str, Any]) -> None:
    """Bind the run to these weights; raises `RunError` if the folder holds a run of others, or that can't be told."""
    name = f"{role}.json"
    if run.exists(name) and identity_of(run, name, Fingerprint)["fingerprint"] != told["fingerprint"]:
        _must_be_of_this_version(run, role, told)
    run.claim(name, {"fingerprint": told["fingerprint"]}, told)


def _must_be_of_this_version(run: RunFolder, role: str, told: Mapping[str, Any]) -> None:
    """Raise `RunError` where a run's fingerprints are defined otherwise: of the same weights they differ then too."""
    held = record_of(run, f"{role}.json", FingerprintVersion).get("fingerprint_version", UNTOLD)
    if held != told["fingerprint_version"]:
        report = f" What it holds can still be shown: aftertune report {shlex.quote(run.address)}."
        raise RunError(
            f"{run.address} was begun by another version of Aftertune, which takes the fingerprint of weights in "
            "another way: whether these are the same weights can't be told, so the run can't go on. Give another "
            f"folder.{'' if role == MODEL else report}"
        )


def _shape(shape: "AttentionShape") -> str:
    return f"{shape.n_layers} layers of {shape.n_heads} heads ({shape.n_key_heads} for keys) of {shape.d_head} neurons"
