"""Prompts -> responses: greedy ones (section 3.2: greedy search, up to 300 new tokens), or samples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from aftertune.errors import CheckpointError, PromptError
from aftertune.models.loaded import Checkpoint
from aftertune.models.temporary_state import borrowed

MAX_NEW_TOKENS = 300
Ids = Sequence[int]


def generate(
    checkpoint: Checkpoint, prompts: Sequence[Ids], max_new_tokens: int = MAX_NEW_TOKENS
) -> list[tuple[int, ...]]:
    """Greedy responses to prompts (token ids), computed as one batch, without the end-of-sequence token.

    A response ends at end-of-sequence, at ``max_new_tokens``, or where the longest prompt of the batch fills the
    model's context. Sampling settings, penalties and minimum lengths that the checkpoint carries are not applied.
    Raises `CheckpointError` if neither the model nor its tokenizer names an end-of-sequence token, `PromptError` if
    a prompt leaves no room for a response.
    """
    return _generate(checkpoint, prompts, max_new_tokens, {"do_sample": False})


def sample(checkpoint: Checkpoint, prompts: Sequence[Ids], max_new_tokens: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Responses drawn from the model's own probabilities (temperature 1), by a seed; else as `generate`.

    The state of torch's random numbers is left as it was. A logit that is not finite counts as 0, or as the largest.
    """
    plain = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "remove_invalid_values": True}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _generate(checkpoint, prompts, max_new_tokens, plain)


def _generate(
    checkpoint: Checkpoint, prompts: Sequence[Ids], max_new_tokens: int, choice: dict[str, Any]
) -> list[tuple[int, ...]]:
    stops = stop_tokens(checkpoint)
    longest = max(map(len, prompts))
    must_leave_room(checkpoint.context_length, longest)
    room = (checkpoint.context_length or longest + max_new_tokens) - longest
    pad = stops[0]
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    settings = GenerationConfig(
        **choice, max_new_tokens=min(max_new_tokens, room), eos_token_id=stops, pad_token_id=pad
    )
    model: Any = checkpoint.model
    experts = "eager" if model.dtype == torch.float64 else None  # fused experts do not know float64
    with borrowed(model, experts=experts), _generation_config(model, settings), torch.inference_mode():
        output = model.generate(input_ids=ids.to(model.device), attention_mask=mask.to(model.device))
    return [_until_stop(row, stops) for row in output[:, longest:].tolist()]


def must_leave_room(context: int | None, n_prompt: int, name: str = "The prompt") -> None:
    """Raise `PromptError` if a prompt of ``n_prompt`` tokens leaves no room for a response in a model's context."""
    if context is not None and n_prompt >= context:
        raise PromptError(
            f"{name} has {n_prompt} tokens, which leaves no room for a response in the model's context of "
            f"{context}. Shorten it, or leave it out."
        )


def stop_tokens(checkpoint: Checkpoint) -> list[int]:
    """The end-of-sequence tokens that model and tokenizer name; raises `CheckpointError` if there is none."""
    named = [
        getattr(checkpoint.model.generation_config, "eos_token_id", None),
        getattr(checkpoint.model.config, "eos_token_id", None),
        checkpoint.tokenizer.eos_token_id,
    ]
    flat = [token for entry in named for token in (entry if isinstance(entry, list) else [entry])]
    stops = list(dict.fromkeys(token for token in flat if token is not None))
    if not stops:
        raise CheckpointError(
            f"Neither {checkpoint.provenance.name} nor its tokenizer names an end-of-sequence token, so a response "
            "would never end. Set tokenizer.eos_token, or give the responses."
        )
    return stops


@contextmanager
def _generation_config(model: PreTrainedModel, settings: GenerationConfig) -> Iterator[None]:
    before = model.generation_config
    model.generation_config = settings
    try:
        yield
    finally:
        model.generation_config = before


def _until_stop(ids: list[int], stops: list[int]) -> tuple[int, ...]:
    end = next((index for index, token in enumerate(ids) if token in stops), len(ids))
    return tuple(ids[:end])
