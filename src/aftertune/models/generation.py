"""Prompts -> responses: greedy ones (section 3.2: greedy search, up to 300 new tokens), or samples.

1. What all prompts begin with (a chat template's system message) is read once.
2. Prompts are read once, however many responses each of them gets.
3. To sample is to take the largest of the logits plus Gumbel noise: so some rows of a batch can be greedy.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, PreTrainedModel

from aftertune.errors import CheckpointError, PromptError
from aftertune.models.backbone import Backbone
from aftertune.models.loaded import Checkpoint
from aftertune.models.prefix import keeps_every_position, n_shared, seen_by
from aftertune.models.temporary_state import borrowed

MAX_NEW_TOKENS = 300
GREEDY = None
Ids = Sequence[int]
Seeds = Sequence[int | None]
Response = tuple[int, ...]


def generate(checkpoint: Checkpoint, prompts: Sequence[Ids], max_new_tokens: int = MAX_NEW_TOKENS) -> list[Response]:
    """Greedy responses to prompts (token ids), computed as one batch, without the end-of-sequence token.

    A response ends at end-of-sequence, at ``max_new_tokens``, or where the longest prompt of the batch fills the
    model's context. Sampling settings, penalties and minimum lengths that the checkpoint carries are not applied.
    Raises `CheckpointError` if neither the model nor its tokenizer names an end-of-sequence token, `PromptError` if
    a prompt leaves no room for a response.
    """
    return respond(checkpoint, prompts, max_new_tokens, [GREEDY])[0]


def sample(checkpoint: Checkpoint, prompts: Sequence[Ids], max_new_tokens: int, seed: int = 0) -> list[Response]:
    """Responses drawn from the model's own probabilities (temperature 1), by a seed; else as `generate`."""
    return respond(checkpoint, prompts, max_new_tokens, [seed])[0]


def respond(checkpoint: Checkpoint, prompts: Sequence[Ids], max_new_tokens: int, seeds: Seeds) -> list[list[Response]]:
    """For each of the seeds a response to each prompt, greedy where the seed is ``GREEDY``, else sampled by it.

    All are computed as one batch. Where a response is sampled, a logit that is NaN counts as 0, and one that is
    infinite as the largest number. Else as `generate`.
    """
    stops, longest = stop_tokens(checkpoint), max(map(len, prompts))
    must_leave_room(checkpoint.context_length, longest)
    room = (checkpoint.context_length or longest + max_new_tokens) - longest
    n_new = min(max_new_tokens, room)
    if len(set(map(len, prompts))) > 1 and not _can_pad(checkpoint):
        alone = [respond(checkpoint, [prompt], n_new, seeds) for prompt in prompts]
        return [[own[number][0] for own in alone] for number in range(len(seeds))]
    asked = _Asked.of(checkpoint, prompts, n_new, stops[0])
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=n_new, eos_token_id=stops, pad_token_id=stops[0], return_dict_in_generate=True
    )
    model: Any = checkpoint.model
    experts = "eager" if model.dtype == torch.float64 else None  # fused experts do not know float64
    with borrowed(model, experts=experts), _generation_config(model, settings), torch.inference_mode():
        cache, drawn = asked.read(checkpoint, len(seeds)), _Drawn(len(prompts), seeds)
        processors = [] if set(seeds) == {GREEDY} else [drawn]
        output = model.generate(**asked.times(len(seeds)), past_key_values=cache, logits_processor=processors)
    found = [_until_stop(row, stops) for row in output.sequences[:, longest:].tolist()]
    return [found[start : start + len(prompts)] for start in range(0, len(found), len(prompts))]


@dataclass(frozen=True, eq=False)
class _Asked:
    """Prompts of one length: the ``n_shared`` tokens that all begin with, padding, and the rest."""

    ids: Tensor
    mask: Tensor
    n_shared: int

    @classmethod
    def of(cls, checkpoint: Checkpoint, prompts: Sequence[Ids], n_new: int, pad: int) -> "_Asked":
        """The prompts of a batch, ready to be continued by ``n_new`` tokens."""
        longest = max(map(len, prompts))
        can_share = len(prompts) > 1 and _sees_all(checkpoint, longest + n_new)
        n = n_shared(checkpoint, prompts) if can_share else 0
        padding = [longest - len(row) for row in prompts]
        ids = [[*row[:n], *[pad] * more, *row[n:]] for row, more in zip(prompts, padding, strict=True)]
        mask = [[1] * n + [0] * more + [1] * (longest - n - more) for more in padding]
        device = checkpoint.model.device
        return cls(torch.tensor(ids, device=device), torch.tensor(mask, device=device), n)

    def times(self, n: int) -> dict[str, Tensor]:
        """All prompts, and all again, ``n`` times."""
        return {"input_ids": self.ids.repeat(n, 1), "attention_mask": self.mask.repeat(n, 1)}

    def read(self, checkpoint: Checkpoint, times: int) -> DynamicCache | None:
        """Keys and values of what is read once for all prompts, ``times`` times; None where it is nothing."""
        if not keeps_every_position(checkpoint) or (times == 1 and not self.n_shared):
            return None
        cache = DynamicCache()
        if self.n_shared:
            backbone = Backbone(checkpoint)
            backbone.states(backbone.embed(self.ids[:1, : self.n_shared]), cache)
            cache = seen_by(len(self.ids), cache, self.n_shared)
        if times > 1:
            model: Any = checkpoint.model
            model.generate(**self.times(1), past_key_values=cache, max_new_tokens=1)
            cache.crop(-1)
            cache.batch_select_indices(torch.arange(len(self.ids)).repeat(times))  # on the CPU: layers may lie anywhere
        return cache


def _can_pad(checkpoint: Checkpoint) -> bool:
    """Whether padding leaves other tokens alone: transformers' eager attention takes the softmax of float64 in float32,
    where what padding sees is infinite, and all is NaN.
    """
    attention = checkpoint.model.config._attn_implementation
    return checkpoint.model.dtype != torch.float64 or bool(attention != "eager")


def _sees_all(checkpoint: Checkpoint, length: int) -> bool:
    """Whether no layer's window is shorter: padding that lies between tokens would be counted in it."""
    config = checkpoint.model.config.get_text_config()
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return all(window is None or length <= window for window in windows)


class _Drawn(LogitsProcessor):  # type: ignore[misc]
    """Adds Gumbel noise to the logits of the rows that are sampled, those of each seed by its own random numbers."""

    def __init__(self, n_prompts: int, seeds: Seeds) -> None:
        self.n_prompts, self.seeds = n_prompts, seeds
        self.generators: dict[int, torch.Generator] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        """The logits (rows, n_vocabulary), with noise where a seed is."""
        blocks = torch.split(scores, self.n_prompts)
        return torch.cat(
            [own if seed is GREEDY else self._noisy(own, seed) for own, seed in zip(blocks, self.seeds, strict=True)]
        )

    def _noisy(self, scores: Tensor, seed: int) -> Tensor:
        if seed not in self.generators:
            self.generators[seed] = torch.Generator(scores.device).manual_seed(seed)
        uniform = torch.rand(scores.shape, generator=self.generators[seed], device=scores.device)
        return scores.nan_to_num(0.0) - uniform.log_().neg_().log_()


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
