"""At which tokens of the texts does the change of weights write most along a direction?

1. The tuned model reads each text, prompt and answer; what the module's last weight is given at each token is h.
2. The change writes u u' dW h there: u' dW h, signed, is how strongly a token drives the direction u.
3. Of each text its strongest token, of all texts the ``N_SHOWN`` strongest that differ in their last ``N_ALIKE``
   tokens, with what stands around. The first token of a text is left out: many models gather large activations on it.
4. Each in units of the root mean square over all tokens.

A mixture of experts has no such weight for its routed experts: there are no tokens then.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import polars as pl
import torch
from torch import Tensor

from aftertune.explainers.location.bench import experts_of
from aftertune.explainers.location.named.result import CONTEXTS, Unit
from aftertune.explainers.location.texts import Text
from aftertune.models.description import at
from aftertune.models.loaded import Checkpoint
from aftertune.models.temporary_state import borrowed
from aftertune.models.weight_changes import Writer, ranked_direction, writers

N_SHOWN = 3
N_BEFORE, N_AFTER = 12, 4  # tokens that are shown around one
N_ALIKE = 4  # a model often says the same to several prompts
CUT = "\ufffd"  # a character whose other bytes are beyond the excerpt
Given = dict[tuple[int, str], list[Tensor]]


@torch.inference_mode()
def driving_texts(
    base: Checkpoint, tuned: Checkpoint, texts: Sequence[Text], directions: Sequence[Unit]
) -> dict[Unit, pl.DataFrame]:
    """The rows of `CONTEXTS` of each direction, the strongest token first; both models are left as they were."""
    places = {(one.layer, one.module): writers(tuned, one.layer, one.module) for one in directions}
    dense = {place: found[0] for place, found in places.items() if len(found) == 1 and found[0].weight.ndim == 2}
    given = _given(tuned, texts, dense)
    empty = pl.DataFrame(schema=pl.Schema(CONTEXTS))
    return {
        one: _strongest(tuned, texts, _driven(base, tuned, one, given[one.layer, one.module]))
        if (one.layer, one.module) in given
        else empty
        for one in directions
    }


def _driven(base: Checkpoint, tuned: Checkpoint, unit: Unit, given: Sequence[Tensor]) -> list[Tensor]:
    """u' dW h of the tokens (n_tokens,) of each text."""
    own, other = (writers(one, unit.layer, unit.module)[0] for one in (base, tuned))
    read = own.along(other, unit.sign * ranked_direction(base, tuned, unit.layer, unit.module, unit.number))
    return [one.to(read.device, read.dtype) @ read for one in given]


def _given(tuned: Checkpoint, texts: Sequence[Text], places: dict[tuple[int, str], Writer]) -> Given:
    """What weights are given at each token of each text, (n_tokens, d_in)."""
    found: Given = {place: [] for place in places}
    model: Any = at(tuned.model, tuned.description.backbone)
    with ExitStack() as stack:
        stack.enter_context(borrowed(tuned.model, experts=experts_of(tuned)))
        for place, writer in places.items():
            stack.callback(writer.owner.register_forward_pre_hook(_keeping(found[place])).remove)
        for text in texts:
            ids = torch.tensor([_ids(text)], device=tuned.model.device)
            model(input_ids=ids, use_cache=False)
    return found


def _keeping(found: list[Tensor]) -> Any:
    return lambda _module, given: found.append(given[0].detach().flatten(0, -2).clone())


def _strongest(tuned: Checkpoint, texts: Sequence[Text], driven: Sequence[Tensor]) -> pl.DataFrame:
    rest = [one[1:] for one in driven]
    scale = float(torch.cat(rest).square().mean().sqrt())
    found = [
        (float(one.max()) / scale, 1 + int(one.argmax()), text)
        for text, one in zip(texts, rest, strict=True)
        if len(one) and float(one.max()) > 0
    ]
    different = dict[tuple[int, ...], dict[str, Any]]()
    for strength, position, text in sorted(found, key=lambda one: -one[0]):
        last = _ids(text)[max(0, position + 1 - N_ALIKE) : position + 1]
        different.setdefault(tuple(last), _row(tuned, text, position, strength))
    return pl.DataFrame(list(different.values())[:N_SHOWN], schema=pl.Schema(CONTEXTS))


def _ids(text: Text) -> list[int]:
    return [*text.prompt_ids, *text.answer_ids]


def _row(tuned: Checkpoint, text: Text, position: int, strength: float) -> dict[str, Any]:
    ids = _ids(text)
    parts = {
        "before": ids[max(0, position - N_BEFORE) : position],
        "token": [ids[position]],
        "after": ids[position + 1 : position + 1 + N_AFTER],
    }
    said = {name: tuned.tokenizer.decode(some) if some else "" for name, some in parts.items()}
    said |= {"before": said["before"].lstrip(CUT), "after": said["after"].rstrip(CUT)}
    return {"prompt": text.prompt, "position": position, "strength": strength} | said
