"""From a map computed elsewhere and the prompt it was computed on to a map that can be compared.

1. The prompt's tokens are found in its text: by the file's own character ranges, else by their pieces.
2. Where the file carries the text with its template, the user's messages are found in it, in their order.
3. The instruction's tokens are marked from the prompt's spans, by the one rule of `aftertune.prompts.spans`. In a
   prompt without spans all that the user wrote is instruction.
4. The rating is that of the map's model.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aftertune.errors import PromptError
from aftertune.prompts.alignment import align_pieces
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.spans import Span, mark_tokens
from aftertune.results.layout import RawMap
from aftertune.results.maps import SalientMap

Marks = npt.NDArray[np.bool_]


def locate(raw: RawMap, prompt: Prompt) -> SalientMap:
    """The map of ``raw`` with its place in ``prompt``; a file without texts was made from its last user message.

    Raises `PromptError` if the ids differ, or if the tokens are not those of the prompt's text.
    """
    if raw.id != prompt.id:
        raise PromptError(f"The map is of prompt {raw.id!r}, the prompt is {prompt.id!r}. Match maps and prompts by id.")
    try:
        return _locate(raw, prompt)
    except PromptError as error:
        raise PromptError(f"Prompt {raw.id!r} under {raw.model!r}: {error}") from None


def _locate(raw: RawMap, prompt: Prompt) -> SalientMap:
    text = prompt.text if raw.prompt_text is None else raw.prompt_text
    offsets = align_pieces(text, raw.prompt_tokens) if raw.prompt_offsets is None else raw.prompt_offsets
    _check_ranges(offsets, len(text))
    is_user = offsets[:, 1] > offsets[:, 0] if raw.is_user is None else raw.is_user
    return SalientMap(
        id=raw.id,
        dataset=raw.dataset,
        model=raw.model,
        text=text,
        prompt_tokens=raw.prompt_tokens,
        response_tokens=raw.response_tokens,
        offsets=offsets,
        is_user=is_user,
        is_instruction=_instruction(replace(raw, prompt_text=text), prompt, offsets, is_user),
        levels=raw.levels,
        helpfulness=prompt.rating(raw.model),
    )


def _instruction(raw: RawMap, prompt: Prompt, offsets: npt.NDArray[np.int64], is_user: Marks) -> Marks:
    if prompt.spans is None:
        return is_user.copy()
    return is_user & mark_tokens(raw.prompt_text or "", offsets, _spans(raw, prompt, offsets, is_user))


def _check_ranges(offsets: npt.NDArray[np.int64], n_characters: int) -> None:
    wrong = (offsets[:, 0] < 0) | (offsets[:, 1] < offsets[:, 0]) | (offsets[:, 1] > n_characters)
    if wrong.any():
        index = int(np.flatnonzero(wrong)[0])
        start, end = offsets[index].tolist()
        raise PromptError(
            f"prompt_offsets of token {index} are {start}..{end}, but the prompt has {n_characters} characters. "
            "Give the prompt whose tokens were measured."
        )
