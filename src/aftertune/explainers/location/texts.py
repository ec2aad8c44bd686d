"""The texts that swaps are measured on: prompts, each with the tuned model's own greedy answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.location.settings import LocationSettings
from aftertune.models.generation import generate, stop_tokens
from aftertune.models.loaded import Checkpoint
from aftertune.models.temporary_state import borrowed
from aftertune.prompts.encoding import encode
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.templates import choose_template

# Padding costs as much as text; more texts at once save less than this.
MOST_PADDED = 1.25


@dataclass(frozen=True)
class Text:
    """Token ids of a prompt and of its answer, which has one at least."""

    prompt: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    answer: str

    def to_row(self) -> dict[str, Any]:
        """The columns of its part."""
        ids = {"prompt_ids": list(self.prompt_ids), "answer_ids": list(self.answer_ids)}
        return {"prompt": self.prompt, "answer": self.answer} | ids


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts that are read at once, padded on the right, which no earlier position sees.

    ``ids`` (n, n_longest); ``before`` (n, n_longest) marks the positions right before an answer token, ``targets``
    (n_positions,) are these tokens, ``owners`` (n_positions,) the places of their texts among all, ``n_texts`` of them.
    """

    ids: Tensor
    before: Tensor
    targets: Tensor
    owners: Tensor

    def mean_by_text(self, values: Tensor, n_texts: int) -> Tensor:
        """The mean of values (n_positions,) over the positions of each text (n_texts,); 0 for other batches' texts."""
        owners = self.owners.to(values.device)
        sums = torch.zeros(n_texts, dtype=torch.float64, device=values.device).index_add_(0, owners, values.double())
        return sums / torch.bincount(owners, minlength=n_texts).clamp(min=1)


def chosen_prompts(prompts: Sequence[Prompt], most: int) -> list[Prompt]:
    """At most so many prompts, spread evenly over all."""
    n = min(most, len(prompts))
    return [prompts[int((index + 0.5) * len(prompts) / n)] for index in range(n)]


def answered(tuned: Checkpoint, n_known: int, settings: LocationSettings, inputs: Inputs) -> list[Text]:
    """The texts, each answer with the token that ended it; a prompt without either has none.

    ``n_known`` are the tokens that both models know; an answer ends before one that only the tuned model knows. Raises
    what `encode` and `generate` raise.
    """
    template, tokenizer = choose_template(inputs.template, [tuned.tokenizer])
    encoded = [
        encode(prompt, tokenizer, template, max_length=tuned.context_length)
        for prompt in chosen_prompts(inputs.prompts, settings.texts)
    ]
    prompts = [one.ids.tolist() for one in encoded]
    generated = generate(tuned, prompts, settings.answer_tokens)
    ended = [
        _with_end(tuned, prompt, ids) if len(ids) < settings.answer_tokens else ids
        for prompt, ids in zip(prompts, generated, strict=True)
    ]
    answers = [_known(ids, n_known) for ids in ended]
    return [
        Text(one.prompt.id, tuple(ids), answer, tuned.tokenizer.decode(answer))
        for one, ids, answer in zip(encoded, prompts, answers, strict=True)
        if answer
    ]


def saved_texts(frame: pl.DataFrame) -> list[Text]:
    """The texts that lie in a run."""
    return [
        Text(row["prompt"], tuple(row["prompt_ids"]), tuple(row["answer_ids"]), row["answer"])
        for row in frame.iter_rows(named=True)
    ]


def batches(texts: Sequence[Text], device: torch.device) -> list[Batch]:
    """Texts of like length together."""
    return [_batch(members, texts, device) for members in _grouped([_length(one) for one in texts])]


@torch.inference_mode()
def _with_end(tuned: Checkpoint, prompt: Sequence[int], ids: Sequence[int]) -> Sequence[int]:
    """An answer that ended by itself, with the token that ended it: to say nothing is an answer too."""
    model: Any = tuned.model
    experts = "eager" if model.dtype == torch.float64 else None  # fused experts do not know float64
    with borrowed(model, experts=experts):
        logits = model(input_ids=torch.tensor([[*prompt, *ids]], device=model.device), use_cache=False).logits
    last = int(logits[0, -1].argmax())
    return [*ids, last] if last in stop_tokens(tuned) else ids


def _known(ids: Sequence[int], n_known: int) -> tuple[int, ...]:
    end = next((place for place, token in enumerate(ids) if token >= n_known), len(ids))
    return tuple(ids[:end])


def _length(text: Text) -> int:
    return len(text.prompt_ids) + len(text.answer_ids)


def _grouped(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of texts that are read at once."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda one: lengths[one]):
        together = [*group, place]
        if lengths[place] * len(together) > MOST_PADDED * sum(lengths[one] for one in together):
            yield group
            together = [place]
        group = together
    yield group


def _batch(members: Sequence[int], texts: Sequence[Text], device: torch.device) -> Batch:
    longest = max(_length(texts[place]) for place in members)
    ids = torch.zeros(len(members), longest, dtype=torch.long)
    before = torch.zeros(len(members), longest, dtype=torch.bool)
    targets, owners = list[int](), list[int]()
    for row, place in enumerate(members):
        text = texts[place]
        ids[row, : _length(text)] = torch.tensor([*text.prompt_ids, *text.answer_ids])
        before[row, len(text.prompt_ids) - 1 : _length(text) - 1] = True
        targets += text.answer_ids
        owners += [place] * len(text.answer_ids)
    return Batch(ids.to(device), before.to(device), torch.tensor(targets), torch.tensor(owners))
