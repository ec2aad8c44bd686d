"""The texts that swaps are measured on: prompts, each with the tuned model's own greedy answer.

1. A prompt that leaves no room for an answer in the context of either model is left out, and so is one whose answer
   begins with a token that only the tuned model knows. Both are counted.
2. The token that ends an answer counts as an answer token: a model that says nothing is measured by it alone.
"""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import polars as pl
import torch
from torch import Tensor

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.location.settings import LocationSettings
from aftertune.models.generation import generate, stop_tokens
from aftertune.models.loaded import Checkpoint
from aftertune.models.temporary_state import borrowed
from aftertune.prompts.encoding import EncodedPrompt, encode
from aftertune.prompts.templates import choose_template

# Padding costs as much as text; more texts at once save less than this.
MOST_PADDED = 1.25
T = TypeVar("T")


class Common(NamedTuple):
    """What both models can read: the first ``n_known`` tokens, and ``context`` tokens at once (None: any number)."""

    n_known: int
    context: int | None


@dataclass(frozen=True)
class Text:
    """Token ids of a prompt and of its answer; without any, the prompt is left out.

    ``ended`` says that the last one is the token with which the model ended its answer.
    """

    prompt: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    answer: str
    ended: bool = False

    def to_row(self) -> dict[str, Any]:
        """The columns of its part."""
        ids = {"prompt_ids": list(self.prompt_ids), "answer_ids": list(self.answer_ids)}
        return {"prompt": self.prompt, "answer": self.answer, "ended": self.ended} | ids


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts that are read at once, padded on the right, which no earlier position sees.

    ``ids`` (n, n_longest); ``before`` (n_positions,) are the positions right before an answer token, counted through
    all rows, ``targets`` (n_positions,) are these tokens, ``owners`` (n_positions,) the places of their texts among
    all, ``n_texts`` of them. All lie on one device, so that reading them waits for nothing.
    """

    ids: Tensor
    before: Tensor
    targets: Tensor
    owners: Tensor

    def mean_by_text(self, values: Tensor, n_texts: int) -> Tensor:
        """The mean of values (n_positions,) over the positions of each text (n_texts,); 0 for other batches' texts."""
        owners = self.owners.to(values.device)
        sums = torch.zeros(n_texts, dtype=torch.float64, device=values.device).index_add_(0, owners, values.double())
        # `bincount` would wait for the device, to learn how long its result is.
        counts = torch.zeros(n_texts, dtype=torch.long, device=values.device)
        return sums / counts.index_add_(0, owners, torch.ones_like(owners)).clamp(min=1)


def chosen(items: Sequence[T], most: int) -> list[T]:
    """At most so many, spread evenly over all."""
    n = min(most, len(items))
    return [items[int((index + 0.5) * len(items) / n)] for index in range(n)]


def answered(tuned: Checkpoint, common: Common, settings: LocationSettings, inputs: Inputs) -> list[Text]:
    """The texts, and one without an answer for each prompt that is left out.

    An answer ends with the token that ended it, or before one that only the tuned model knows. Raises what `encode` and
    `generate` raise.
    """
    template, tokenizer = choose_template(inputs.template, [tuned.tokenizer])
    encoded = [encode(prompt, tokenizer, template) for prompt in inputs.prompts]
    fitting = [one for one in encoded if _room(common, one.ids) > 0]
    read = chosen(fitting, settings.texts)
    answers = _answers(tuned, common, settings.answer_tokens, [one.ids.tolist() for one in read])
    texts = [_text(one, *answer, tuned, common) for one, answer in zip(read, answers, strict=True)]
    left_out = [Text(one.prompt.id, tuple(one.ids.tolist()), (), "") for one in encoded if not _room(common, one.ids)]
    return [*texts, *left_out]


def saved_texts(frame: pl.DataFrame) -> list[Text]:
    """The texts that lie in a run."""
    return [
        Text(row["prompt"], tuple(row["prompt_ids"]), tuple(row["answer_ids"]), row["answer"], row["ended"])
        for row in frame.iter_rows(named=True)
    ]


def batches(texts: Sequence[Text], device: torch.device) -> list[Batch]:
    """Texts of like length together."""
    return [_batch(members, texts, device) for members in _grouped([_length(one) for one in texts])]


def _room(common: Common, ids: Sized) -> float:
    """How many tokens an answer may have after a prompt."""
    return float("inf") if common.context is None else max(0, common.context - len(ids))


def _answers(
    tuned: Checkpoint, common: Common, most: int, prompts: Sequence[list[int]]
) -> list[tuple[tuple[int, ...], bool]]:
    """Greedy answers (token ids), each with whether it ended by itself.

    Prompts with room for the longest answer are answered as one batch, all others by themselves, since the longest
    prompt of a batch limits its answers.
    """
    rooms = [int(min(most, _room(common, ids))) for ids in prompts]
    roomy = [place for place, room in enumerate(rooms) if room == most]
    batches = [roomy, *([place] for place, room in enumerate(rooms) if room < most)]
    found = dict[int, tuple[int, ...]]()
    for batch in filter(None, batches):
        found |= zip(batch, generate(tuned, [prompts[place] for place in batch], rooms[batch[0]]), strict=True)
    return [(found[place], len(found[place]) < room) for place, room in enumerate(rooms)]


def _text(read: EncodedPrompt, ids: Sequence[int], ended: bool, tuned: Checkpoint, common: Common) -> Text:
    prompt = tuple(read.ids.tolist())
    whole = (*ids, _end(tuned, (*prompt, *ids))) if ended else tuple(ids)
    answer = _known(whole, common.n_known)
    return Text(read.prompt.id, prompt, answer, tuned.tokenizer.decode(answer), ended and len(answer) == len(whole))


@torch.inference_mode()
def _end(tuned: Checkpoint, ids: Sequence[int]) -> int:
    """The token that ended an answer: the likeliest of those that end one."""
    model: Any = tuned.model
    experts = "eager" if model.dtype == torch.float64 else None  # fused experts do not know float64
    with borrowed(model, experts=experts):
        logits = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0, -1]
    return max((one for one in stop_tokens(tuned) if one < len(logits)), key=lambda token: float(logits[token]))


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
    before, targets, owners = list[int](), list[int](), list[int]()
    for row, place in enumerate(members):
        text = texts[place]
        ids[row, : _length(text)] = torch.tensor([*text.prompt_ids, *text.answer_ids])
        before += range(row * longest + len(text.prompt_ids) - 1, row * longest + _length(text) - 1)
        targets += text.answer_ids
        owners += [place] * len(text.answer_ids)
    return Batch(ids.to(device), *(torch.tensor(one, device=device) for one in (before, targets, owners)))
