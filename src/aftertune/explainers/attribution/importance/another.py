"""Which token may take another's place?  One of the same kind, drawn: of letters, and beginning a word or not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aftertune.explainers.attribution.importance.variants import Variant, Whole
from aftertune.prompts.encoding import show_tokens

if TYPE_CHECKING:
    from aftertune.explainers.attribution.units import Unit

FEW = 6  # tokens: where there are no more of a kind, any that is text may be drawn


def with_others(whole: Whole, units: Sequence[Unit], rng: np.random.Generator) -> list[Variant]:
    """For each of the units the prompt with drawn tokens in the place of its own."""
    tokenizer, ids = whole.backbone.checkpoint.tokenizer, whole.task.prompt_ids
    drawn = [another_token(tokenizer, ids[place], rng) for unit in units for place in unit]
    found = whole.backbone.embed(torch.tensor([drawn], device=whole.embeds.device))[0]
    each = torch.split(found, [len(unit) for unit in units])
    return [Variant(replaced=dict(zip(unit, own, strict=True))) for unit, own in zip(units, each, strict=True)]


def another_token(tokenizer: Any, token: int, rng: np.random.Generator) -> int:
    """A token of the same kind: one that begins a word, or one that goes on with it."""
    begins, goes_on, beginning = _pools(tokenizer)
    pool = begins if token in beginning else goes_on
    drawn = token
    while drawn == token:
        drawn = pool[int(rng.integers(len(pool)))]
    return drawn


@lru_cache(maxsize=4)
def _pools(tokenizer: Any) -> tuple[Sequence[int], Sequence[int], frozenset[int]]:
    """Tokens of letters after a space, and those without one; all that are text where there are few. Then the first."""
    n = len(tokenizer)
    special, texts = set(tokenizer.all_special_ids), show_tokens(tokenizer, range(n))
    plain = [token for token in range(n) if token not in special]
    words = [token for token in plain if texts[token].strip().isalpha()]
    begins = [token for token in words if texts[token][:1].isspace()]
    goes_on = [token for token in words if not texts[token][:1].isspace()]
    enough = [pool if len(pool) > FEW else plain for pool in (begins, goes_on)]
    return enough[0], enough[1], frozenset(begins)
