"""Can these two checkpoints be compared?  Asked before anything is measured.

1. Both must be there, of a known architecture.
2. For attribution, both must read every prompt as the same tokens, since maps are compared token by token.
3. For heads, both must have as many layers and heads of the same size, since head is compared with head.
4. The run is bound to the weights and to those tokens.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from aftertune.errors import CheckpointError
from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.routes import must_suit_architecture
from aftertune.models import Checkpoint, must_be_loadable, read_tokenizer
from aftertune.models.subject import Subject
from aftertune.models.weights import AttentionShape, shape_of
from aftertune.prompts.encoding import encode
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.record import to_record
from aftertune.runs.layer_parts import LayerPlan
from aftertune.runs.run import RunFolder

Tokens = Mapping[str, Sequence[int]]


def must_be_there(subjects: Sequence[Subject], trust_remote_code: bool) -> list[Any]:
    """Raise `CheckpointError` for what can be told of the checkpoints without reading weights; their configurations.

    None for a checkpoint whose configuration can't be read quickly.
    """
    return [must_be_loadable(s.ref, s.adapter, s.revision, trust_remote_code=trust_remote_code) for s in subjects]


def must_read_prompts_alike(
    subjects: Sequence[Subject], prompts: Sequence[Prompt], template: str, trust_remote_code: bool
) -> Tokens:
    """Every prompt's tokens, the same for all; empty without subjects.

    Raises `CheckpointError` if the tokenizers read a prompt differently, `PromptError` if one can't be read.
    """
    read: list[Tokens] = []
    for ref, revision in dict.fromkeys((one.ref, one.revision) for one in subjects):
        tokenizer = read_tokenizer(ref, revision, trust_remote_code=trust_remote_code)
        read.append({prompt.id: encode(prompt, tokenizer, template).ids.tolist() for prompt in prompts})
    for before, now in pairwise(read):
        _must_be_alike(before, now)
    return read[-1] if read else {}


def must_have_layers(configs: Sequence[Any], plan: LayerPlan) -> None:
    """Raise `AttributionError` if a configuration lacks a layer that is to be read; None is let through."""
    for config in configs:
        if config is not None:
            plan.chosen_layers(shape_of(config).n_layers)


def must_suit_route(configs: Sequence[Any], dtype: str, route: str) -> None:
    """Raise `AttributionError` if the route is not for an architecture in that type; None is let through."""
    for config in configs:
        if config is not None:
            must_suit_architecture(config, dtype, route)


def must_be_alike_inside(configs: Sequence[Any]) -> None:
    """Raise `CheckpointError` if two configurations differ in their layers and heads; None is let through."""
    for before, now in pairwise(shape_of(config) for config in configs if config is not None):
        if before != now:
            raise CheckpointError(
                f"The two checkpoints have other attention heads: {_shape(before)} against {_shape(now)}, and head is "
                "compared with head, layer with layer. Give a model and its tune, or skip heads and concepts."
            )


def claim_weights(folder: RunFolder, role: str, checkpoint: Checkpoint) -> None:
    """Bind the run to these weights; raises `RunError` if the folder holds a run of others."""
    provenance = checkpoint.provenance
    folder.claim(f"{role}.json", {"fingerprint": provenance.fingerprint}, provenance.to_dict())


def claim(folder: RunFolder, role: str, checkpoint: Checkpoint, prompts: Sequence[Prompt], template: str) -> None:
    """Bind the run to these weights, and to the same prompt tokens for both models.

    Raises `RunError` if the folder holds a run of other weights, `CheckpointError` for other tokens.
    """
    tokens = {prompt.id: encode_for(checkpoint, prompt, template, prompt.response).ids.tolist() for prompt in prompts}
    if folder.exists("prompts.json"):
        _must_be_alike(folder.read_json("prompts.json")["record"]["tokens"], tokens)
    # Only now: what was refused above leaves no trace, so that the corrected command finds the folder free.
    claim_weights(folder, role, checkpoint)
    folder.claim("prompts.json", {}, {"tokens": tokens, "prompts": [to_record(prompt) for prompt in prompts]})


def _must_be_alike(before: Tokens, now: Tokens) -> None:
    differing = [id for id in now if now[id] != before[id]]
    if differing:
        raise CheckpointError(
            f"The two checkpoints read {len(differing)} of {len(now)} prompts as other tokens (first: "
            f"{differing[0]!r}): their tokenizers or chat templates differ, and maps can't be compared token by "
            "token. Give checkpoints with one tokenizer, or template 'raw'."
        )


def _shape(shape: AttentionShape) -> str:
    return f"{shape.n_layers} layers of {shape.n_heads} heads ({shape.n_key_heads} for keys) of {shape.d_head} neurons"
