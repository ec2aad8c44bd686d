"""Can these two checkpoints be compared on these prompts?  Asked before anything is measured.

1. Both must be there, of a known architecture.
2. Both must read every prompt as the same tokens, since maps are compared token by token.
3. The run is bound to the weights and to those tokens.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from aftertune.attribution.ask import encode_for
from aftertune.errors import CheckpointError
from aftertune.models import Checkpoint, must_be_loadable, read_tokenizer
from aftertune.prompts.encoding import encode
from aftertune.prompts.prompt import Prompt
from aftertune.results.run import RunFolder
from aftertune.subject import Subject

Tokens = Mapping[str, Sequence[int]]


def must_be_comparable(
    subjects: Sequence[Subject], prompts: Sequence[Prompt], template: str, trust_remote_code: bool
) -> None:
    """Raise `CheckpointError` or `PromptError` for what can be told of the checkpoints without reading weights."""
    for one in subjects:
        must_be_loadable(one.ref, one.adapter, one.revision, trust_remote_code=trust_remote_code)
    read: list[Tokens] = []
    for ref, revision in dict.fromkeys((one.ref, one.revision) for one in subjects):
        tokenizer = read_tokenizer(ref, revision, trust_remote_code=trust_remote_code)
        read.append({prompt.id: encode(prompt, tokenizer, template).ids.tolist() for prompt in prompts})
    for before, now in pairwise(read):
        _must_be_alike(before, now)


def claim(folder: RunFolder, role: str, checkpoint: Checkpoint, prompts: Sequence[Prompt], template: str) -> None:
    """Bind the run to these weights, and to the same prompt tokens for both models.

    Raises `RunError` if the folder holds a run of other weights, `CheckpointError` for other tokens.
    """
    tokens = {prompt.id: encode_for(checkpoint, prompt, template, prompt.response).ids.tolist() for prompt in prompts}
    if folder.exists("prompts.json"):
        _must_be_alike(folder.read_json("prompts.json")["record"]["tokens"], tokens)
    # Only now: what was refused above leaves no trace, so that the corrected command finds the folder free.
    provenance = checkpoint.provenance
    folder.claim(f"{role}.json", {"fingerprint": provenance.fingerprint}, provenance.to_dict())
    folder.claim("prompts.json", {}, {"tokens": tokens, "prompts": [_about(prompt) for prompt in prompts]})


def _must_be_alike(before: Tokens, now: Tokens) -> None:
    differing = [id for id in now if now[id] != before[id]]
    if differing:
        raise CheckpointError(
            f"The two checkpoints read {len(differing)} of {len(now)} prompts as other tokens (first: "
            f"{differing[0]!r}): their tokenizers or chat templates differ, and maps can't be compared token by "
            "token. Give checkpoints with one tokenizer, or template 'raw'."
        )


def _about(prompt: Prompt) -> dict[str, Any]:
    # A rating without a model's name is of the response that the prompt carries, so it needs that response.
    ratings = {name: rating for name, rating in prompt.ratings.items() if name or prompt.response is not None}
    return {"id": prompt.id, "dataset": prompt.dataset, "marked": prompt.spans is not None, "ratings": ratings}
