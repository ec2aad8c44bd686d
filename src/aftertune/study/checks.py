"""Can these checkpoints be compared?  Everything that can be refused is refused here, before any work.

1. All must be there, of an architecture that can be read.
2. Where prompts are read, all must read every prompt as the same tokens, since they are compared token by token,
   and have room for a response.
3. Where weights are read, all must have as many layers and heads of the same size.
4. Each explainer refuses what it can't do with them, or not in this run folder.
5. Once a checkpoint is loaded, the same is asked of it, and the run is bound to its weights.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.errors import CheckpointError
from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.subject import Subject
from aftertune.runs.run import RunFolder
from aftertune.study.tokens import named, vocabulary_of

if TYPE_CHECKING:
    from aftertune.models import Checkpoint
    from aftertune.models.weights import AttentionShape

Tokens = Mapping[str, Sequence[int]]
Reader = Callable[[Subject], Any]


def must_be_comparable(
    subjects: Sequence[Subject],
    configs: Sequence[Any],
    works: Iterable[Work],
    inputs: Inputs,
    run: RunFolder,
    *,
    read: Reader | None,
    reads_weights: bool,
) -> None:
    """Raise what is wrong with checkpoints of these configurations (None for one that can't be read quickly).

    ``read`` gives a checkpoint's tokenizer, as it puts the prompts; None where no prompts are read. Fills
    ``inputs.lengths``. A mistake in the last checkpoint must not be told after hours of work on the first.
    """
    if read is not None and subjects:
        tokens = must_read_prompts_the_same(subjects, configs, inputs, read)
        inputs.lengths[:] = [len(ids) for ids in tokens.values()]
    if reads_weights:
        must_have_the_same_shape(configs)
    for work in works:
        work.must_fit(configs, run)


def must_be_there(
    subjects: Sequence[Subject],
    trust_remote_code: bool,
    architecture: Any = None,
    tokenizer: str | Path | None = None,
) -> list[Any]:
    """The checkpoints' configurations; raises one `CheckpointError` with all that is wrong with any of them."""
    from aftertune.models import must_be_loadable
    from aftertune.models.loadable import mistakes_of, raise_all

    how = {"trust_remote_code": trust_remote_code, "architecture": architecture, "tokenizer": tokenizer}
    configs, wrong = [], list[str]()
    for one in subjects:
        try:
            configs.append(must_be_loadable(one.ref, one.adapter, one.revision, **how))
        except CheckpointError as error:
            wrong += mistakes_of(error)
    if wrong:
        raise_all(wrong)
    return configs


def must_read_prompts_the_same(
    subjects: Sequence[Subject], configs: Sequence[Any], inputs: Inputs, read: Reader
) -> Tokens:
    """Every prompt's tokens, the same for all checkpoints.

    Raises `CheckpointError` if the tokenizers read a prompt differently, and what `read_prompts` raises.
    """
    known = {(one.ref, one.revision, one.adapter): (one, config) for one, config in zip(subjects, configs, strict=True)}
    contexts = [(read(one), getattr(config, "max_position_embeddings", None)) for one, config in known.values()]
    return must_read_the_same(inputs, contexts)


def must_read_the_same(inputs: Inputs, readers: Sequence[tuple[Any, int | None]]) -> Tokens:
    """Every prompt's tokens, the same for all ``readers``: tokenizers, each with its model's context.

    Raises as `must_read_prompts_the_same` does.
    """
    found = [read_prompts(inputs, *reader) for reader in readers]
    tokenizers = [tokenizer for tokenizer, _ in readers]
    for (before, one), (now, other) in pairwise(zip(found, tokenizers, strict=True)):
        must_be_same_tokens(before, now, one, other)
    return found[-1]


def read_prompts(inputs: Inputs, tokenizer: Any, context: int | None) -> Tokens:
    """Every prompt's tokens; raises `PromptError` for one that can't be read, or leaves no room that is needed."""
    from aftertune.models.generation import must_leave_room
    from aftertune.prompts.encoding import encode

    known = context if inputs.needs_room else None
    read = [encode(one, tokenizer, inputs.template, one.response, known) for one in inputs.prompts]
    for one in read if inputs.needs_room else ():
        if one.response_ids is None:
            must_leave_room(context, len(one.ids), f"Prompt {one.prompt.id!r}")
    return {one.prompt.id: one.ids.tolist() for one in read}


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
    read_prompts(inputs, checkpoint.tokenizer, checkpoint.context_length)
    for work in works:
        work.must_fit([checkpoint.model.config], run)


def told_of(checkpoint: "Checkpoint") -> dict[str, Any]:
    """What a run says of a checkpoint: its provenance, and the digest of what else decides what it does."""
    from aftertune.models.fingerprint import configuration_digest

    told = {"configuration": configuration_digest(checkpoint.model, checkpoint.tokenizer)}
    return checkpoint.provenance.to_dict() | told


def claim_weights(run: RunFolder, role: str, told: Mapping[str, Any]) -> None:
    """Bind the run to these weights; raises `RunError` if the folder holds a run of others."""
    run.claim(f"{role}.json", {"fingerprint": told["fingerprint"]}, told)


def _shape(shape: "AttentionShape") -> str:
    return f"{shape.n_layers} layers of {shape.n_heads} heads ({shape.n_key_heads} for keys) of {shape.d_head} neurons"
