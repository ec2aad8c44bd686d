"""From maps computed elsewhere and the prompts they were computed on to maps that can be compared.

1. The prompt's tokens are found in its text: by the file's own character ranges, else by their pieces.
2. Where the file carries the text with its template, the user's messages are found in it, in their order.
3. The instruction's tokens are marked by the rules that hold for our own maps (`instruction`, `spans`).
4. The rating is that of the map's model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aftertune.errors import PromptError, RunError
from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.attribution.map_file import RawMap, read_maps
from aftertune.explainers.attribution.result import SalientMap
from aftertune.prompts.alignment import align_pieces
from aftertune.prompts.instruction import instruction_spans, mark_tokens
from aftertune.prompts.prompt import Prompt

Marks = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int64]


def score_maps(
    file: str | Path, prompts: Sequence[Prompt], base: str | None = None, tuned: str | None = None
) -> AttributionChange:
    """Compare two models of a file of maps.

    ``base`` and ``tuned`` may be left out where the file holds two models of which one is rated: that one is the tuned.
    Raises `RunError` for an unusable file and for names that it does not hold, `PromptError` for maps without their
    prompt.
    """
    raw = read_maps(file)
    known = {prompt.id: prompt for prompt in prompts}
    unknown = sorted({item.id for item in raw} - known.keys())
    if unknown:
        raise PromptError(
            f"{len(unknown)} maps have no prompt of their id (first: {unknown[0]!r}). Give the prompts of the maps."
        )
    base, tuned = _name_models(raw, known, base, tuned)
    return compare_maps([locate(item, known[item.id]) for item in raw], base, tuned)


def locate(raw: RawMap, prompt: Prompt) -> SalientMap:
    """The map of ``raw`` with its place in ``prompt``; a file without texts was made from its last user message.

    Raises `PromptError` if the ids differ, or if the tokens are not those of the prompt's text.
    """
    if raw.id != prompt.id:
        raise PromptError(
            f"The map is of prompt {raw.id!r}, the prompt is {prompt.id!r}. Match maps and prompts by id."
        )
    try:
        return _locate(raw, prompt)
    except PromptError as error:
        raise PromptError(f"Prompt {raw.id!r} under {raw.model!r}: {error}") from None


def mark_instruction(text: str, offsets: Offsets, is_user: Marks, prompt: Prompt) -> Marks:
    """Which tokens (n_prompt,) of a rendered ``text`` belong to the instruction that the spans of ``prompt`` mark.

    ``offsets`` (n_prompt, 2) are character ranges in ``text``, ``is_user`` (n_prompt,) marks what is not the
    template's. Raises `PromptError` if a user message is not in the text.
    """
    return _instruction(text, prompt, offsets, _user_starts(text, prompt, offsets[is_user])) & is_user


def _name_models(
    raw: Sequence[RawMap], prompts: Mapping[str, Prompt], base: str | None, tuned: str | None
) -> tuple[str, str]:
    models = sorted({item.model for item in raw})
    rated = {item.model for item in raw if prompts[item.id].rating(item.model) is not None}
    if base is None and tuned is None and len(models) == 2 and len(rated) == 1:
        (tuned,) = rated
        (base,) = set(models) - rated
    if base not in models or tuned not in models:
        wrong = next(name for name in (base, tuned) if name not in models)
        held = ", ".join(models) or "no model"
        raise RunError(
            f"The maps are of {held}{f', not of {wrong}' if wrong else ''}. Say which model is the base and which is "
            "the tuned one."
        )
    return base, tuned


def _locate(raw: RawMap, prompt: Prompt) -> SalientMap:
    text = prompt.text if raw.prompt_text is None else raw.prompt_text
    offsets = align_pieces(text, raw.prompt_tokens) if raw.prompt_offsets is None else raw.prompt_offsets
    _check_ranges(offsets, len(text))
    is_user = offsets[:, 1] > offsets[:, 0] if raw.is_user is None else raw.is_user
    starts = _user_starts(text, prompt, offsets[is_user]) if raw.prompt_text is not None else _last_start(prompt)
    return SalientMap(
        id=raw.id,
        dataset=raw.dataset,
        model=raw.model,
        text=text,
        prompt_tokens=raw.prompt_tokens,
        response_tokens=raw.response_tokens,
        offsets=offsets,
        is_user=is_user,
        is_instruction=_instruction(text, prompt, offsets, starts) & is_user,
        levels=raw.levels,
        helpfulness=prompt.rating(raw.model),
    )


def _instruction(text: str, prompt: Prompt, offsets: Offsets, starts: dict[int, int]) -> Marks:
    spans = [(starts[at] + start, starts[at] + end) for start, end, at in instruction_spans(prompt) if at in starts]
    return mark_tokens(text, offsets, [(max(start, 0), max(end, 0)) for start, end in spans])


def _last_start(prompt: Prompt) -> dict[int, int]:
    return {max(index for index, message in enumerate(prompt.messages) if message.role == "user"): 0}


def _user_starts(text: str, prompt: Prompt, user_offsets: Offsets) -> dict[int, int]:
    """Where each user message begins in ``text``; before 0 or inside the template if its outer white space was cut."""
    users = [index for index, message in enumerate(prompt.messages) if message.role == "user"]
    # All messages in their order, so that a user's is not found in another's; maps from elsewhere may hold users' only.
    found = _starts(text, prompt, range(len(prompt.messages)), user_offsets)[0]
    missing: int | None = None
    if not set(users) <= found.keys():
        found, missing = _starts(text, prompt, users, user_offsets)
    if missing is not None:
        bare = prompt.messages[missing].content.strip()
        raise PromptError(f"its user message {bare[:40]!r} is not in the text that was measured. Give that prompt.")
    return {index: found[index] for index in users}


def _starts(
    text: str, prompt: Prompt, wanted: Sequence[int], user_offsets: Offsets
) -> tuple[dict[int, int], int | None]:
    """Where the wanted messages begin, one after the other, and the first that is not found."""
    starts: dict[int, int] = {}
    cursor = 0
    for index in wanted:
        content = prompt.messages[index].content
        bare = content.strip()
        later = user_offsets[user_offsets[:, 1] > cursor]
        at = text.find(bare, max(cursor, int(later[0, 0]))) if len(later) else -1
        if at < 0:
            return starts, index
        starts[index] = at - content.index(bare)
        cursor = at + len(bare)
    return starts, None


def _check_ranges(offsets: Offsets, n_characters: int) -> None:
    wrong = (offsets[:, 0] < 0) | (offsets[:, 1] < offsets[:, 0]) | (offsets[:, 1] > n_characters)
    if wrong.any():
        index = int(np.flatnonzero(wrong)[0])
        start, end = offsets[index].tolist()
        raise PromptError(
            f"prompt_offsets of token {index} are {start}..{end}, but the prompt has {n_characters} characters. "
            "Give the prompt whose tokens were measured."
        )
