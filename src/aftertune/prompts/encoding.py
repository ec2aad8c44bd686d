"""One prompt -> token ids, with what each token is: the user's, the instruction's, or the template's.

1. Render the messages (`templates`) and tokenise once (`tokenization`); token ids are the truth from here on.
2. ``is_user``: tokens of any message of the prompt file. Only what the template or the tokenizer added is False, so
   that a system message or an earlier answer counts as context.
3. ``is_instruction``: tokens of the instruction (`instruction`), which lies in user messages only; so none of them
   is a template's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import PromptError
from aftertune.prompts.instruction import instruction_spans, mark_tokens
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.templates import render
from aftertune.prompts.tokenization import Tokens, control_tokens, show_tokens, tokenize, tokenize_response

__all__ = ["EncodedPrompt", "encode", "show_tokens"]


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A prompt in token ids (n_prompt,).

    ``offsets`` (n_prompt, 2) are character ranges in ``text``, the text that was tokenised, template included; (0, 0)
    for a token that the tokenizer added, such as BOS. ``tokens`` are for display. ``is_user`` and ``is_instruction``
    (n_prompt,) are explained above. ``response_ids`` (n_response,) is None where no response was given.
    ``contrast_ids`` (n_response,) are tokens that the response is held against, if any. ``lost`` names what the chat
    template had no place for: reasoning of earlier answers, what is said beside calls of tools, tools, and calls,
    which are then in the text as JSON.
    """

    prompt: Prompt
    text: str
    ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    tokens: tuple[str, ...]
    is_user: npt.NDArray[np.bool_]
    is_instruction: npt.NDArray[np.bool_]
    response_ids: npt.NDArray[np.int64] | None
    template: str
    contrast_ids: npt.NDArray[np.int64] | None = None
    lost: tuple[str, ...] = ()


def encode(
    prompt: Prompt,
    tokenizer: Any,
    template: str = "raw",
    response: str | None = None,
    max_length: int | None = None,
) -> EncodedPrompt:
    """Token ids of a prompt, and of its ``response`` if one is given (the prompt's own is not taken by itself).

    ``template`` is "raw" (the one user message, with the special tokens that the tokenizer puts before a text), "chat"
    (the tokenizer's own template) or "rendered" (the one message, put in a chat template already: its control tokens
    are read as such, and belong to nobody). ``max_length`` is the model's context, in tokens.

    Raises `PromptError` if the prompt is empty, does not suit the template, contains a control token that cannot be
    read as text, or is too long, or if the response has no token; `CheckpointError` for a tokenizer without offsets.
    """
    made = render(prompt, tokenizer, template)
    found = tokenize(made.text, tokenizer, chat=template != "raw", add_special_tokens=template == "raw")
    is_user = mark_tokens(made.text, found.offsets, [(one.start, one.end) for one in made.placed])
    if template == "rendered":
        is_user &= ~np.isin(found.ids, list(control_tokens(tokenizer)))
    _must_say_something(prompt, is_user)
    _refuse_control_tokens(prompt, made.text, found, is_user, tokenizer, template)
    where = {one.index: one for one in made.placed}
    spans = [where[index].project(start, end) for start, end, index in instruction_spans(prompt)]
    response_ids = (
        None if response is None else _encode_response(prompt, response, made.text, found, tokenizer, template)
    )
    _must_fit(prompt, len(found.ids), 0 if response_ids is None else len(response_ids), max_length)
    return EncodedPrompt(
        prompt=prompt,
        text=made.text,
        ids=found.ids,
        offsets=found.offsets,
        tokens=show_tokens(tokenizer, found.ids),
        is_user=is_user,
        is_instruction=mark_tokens(made.text, found.offsets, spans) & is_user,
        response_ids=response_ids,
        template=template,
        lost=made.lost,
    )


def _encode_response(
    prompt: Prompt, response: str, text: str, found: Tokens, tokenizer: Any, template: str
) -> npt.NDArray[np.int64]:
    ids = tokenize_response(response, text, found, tokenizer, chat=template != "raw")
    if not len(ids):
        raise PromptError(
            f"The response of prompt {prompt.id!r} has no token. Give a text, or none to have it generated."
        )
    control = control_tokens(tokenizer)
    spelled = [control[id] for id in ids.tolist() if id in control and control[id] in response]
    _refuse(spelled, prompt, "response", template)
    return ids


def _must_say_something(prompt: Prompt, is_user: npt.NDArray[np.bool_]) -> None:
    if not is_user.any():
        raise PromptError(f"The tokenizer makes no token of what the user says in prompt {prompt.id!r}. Change it.")


def _refuse_control_tokens(
    prompt: Prompt, text: str, found: Tokens, is_user: npt.NDArray[np.bool_], tokenizer: Any, template: str
) -> None:
    control = control_tokens(tokenizer)
    pieces = [text[start:end].strip() for start, end in found.offsets[is_user]]
    ids = found.ids[is_user].tolist()
    # An unknown character becomes a special token too; it is a control token only where the text spells it.
    _refuse(
        [piece for id, piece in zip(ids, pieces, strict=True) if control.get(id) == piece], prompt, "text", template
    )


def _refuse(spelled: list[str], prompt: Prompt, what: str, template: str) -> None:
    if spelled and template != "rendered":
        raw = "; a text that was put in a chat template already is read by the template rendered"
        advice = (
            f", or use the template raw{raw}" if template == "chat" else ", or use a tokenizer that reads it as text"
        )
        raise PromptError(
            f"The {what} of prompt {prompt.id!r} contains {spelled[0]!r}, which would reach the model as a control "
            f"token and not as text. Take it out{advice}."
        )


def _must_fit(prompt: Prompt, n_prompt: int, n_response: int, max_length: int | None) -> None:
    if max_length is not None and n_prompt + n_response > max_length:
        parts = f"{n_prompt} + {n_response} of its response" if n_response else str(n_prompt)
        raise PromptError(
            f"Prompt {prompt.id!r} has {parts} tokens, the model's context {max_length}. Shorten it, or leave it out."
        )
