"""Text -> token ids with the characters that each token covers, whatever the tokenizer does to the text.

1. The user's text is text: strings that look like control tokens are split into ordinary tokens. Only a rendered
   chat, in which a template has written control tokens, is read with them.
2. Tokens that the tokenizer adds before the text (BOS) are kept; those it adds after it (EOS) are not, because the
   response goes on there.
3. Characters that no token covers, because a normaliser composed or dropped them, belong to the token before them;
   white space that no token covers, as some tokenizers trim it off, to the token after it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aftertune.errors import CheckpointError, PromptError, translated

# Two characters that begin a text for the tokenizer and hardly merge with what follows: the second is for texts that
# do merge with the first.
ANCHORS = (":", "\n")


class Tokens(NamedTuple):
    """Token ids (n,) and their character ranges (n, 2) in the text; (0, 0) for a token that was added to it."""

    ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


def tokenize(text: str, tokenizer: Any, *, chat: bool, add_special_tokens: bool = False) -> Tokens:
    """Tokens of ``text``; with ``chat`` control tokens in it are control tokens.

    Raises `CheckpointError` if the tokenizer cannot say which characters a token covers, `PromptError` for a text
    that is not Unicode.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"The tokenizer {type(tokenizer).__name__} does not say which characters a token covers. Save it as a "
            "fast tokenizer (with a tokenizer.json), and load that."
        )
    _must_be_unicode(text)
    made = _call(tokenizer, text, add_special_tokens, not chat)
    ids, offsets = np.array(made["input_ids"], np.int64), np.array(made["offset_mapping"], np.int64).reshape(-1, 2)
    is_added = np.array(made["special_tokens_mask"], dtype=bool)
    end = int(np.flatnonzero(~is_added).max(initial=-1)) + 1
    return Tokens(ids[:end], _cover(text, offsets[:end], is_added[:end]))


def tokenize_response(response: str, text: str, prompt: Tokens, tokenizer: Any, *, chat: bool) -> npt.NDArray[np.int64]:
    """Token ids (n_response,) of a response that goes on where ``text``, tokenised as ``prompt``, ends.

    Both are tokenised together. Where a merge across the border would change the prompt's ids, the prompt keeps them
    and the response is tokenised as the middle of a text, so that no space is put before it; only if it merges with
    whatever precedes it, as the beginning of one.
    """
    rest = _after(prompt, tokenize(text + response, tokenizer, chat=chat, add_special_tokens=not chat))
    anchors = iter(ANCHORS)
    while rest is None and (anchor := next(anchors, "")):
        rest = _after(tokenize(anchor, tokenizer, chat=chat), tokenize(anchor + response, tokenizer, chat=chat))
    return tokenize(response, tokenizer, chat=chat).ids if rest is None else rest


def control_tokens(tokenizer: Any) -> dict[int, str]:
    """The tokenizer's special tokens by id."""
    return {id: token.content for id, token in tokenizer.added_tokens_decoder.items() if token.special}


def show_tokens(tokenizer: Any, ids: Any) -> tuple[str, ...]:
    """What each token id reads, for display; its raw piece where it is only part of a character, or reads nothing."""
    return tuple(_show(tokenizer, int(id)) for id in ids)


def _show(tokenizer: Any, id: int) -> str:
    text: str = tokenizer.decode([id], clean_up_tokenization_spaces=False)
    if text and "\ufffd" not in text:
        return text
    return tokenizer.convert_ids_to_tokens(id) or f"<{id}>"


def _call(tokenizer: Any, text: str, add_special_tokens: bool, split_special_tokens: bool) -> Any:
    backend = tokenizer.backend_tokenizer
    before = backend.encode_special_tokens
    try:
        with translated(PromptError, "The tokenizer can't read the text", "Give a shorter or plainer one."):
            return tokenizer(
                text,
                add_special_tokens=add_special_tokens,
                split_special_tokens=split_special_tokens,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
                verbose=False,
            )
    finally:
        backend.encode_special_tokens = before


def _must_be_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PromptError(
            f"The text holds half a surrogate pair ({text[error.start]!r}, character {error.start}), which is no "
            "Unicode text. Take it out."
        ) from None


def _cover(text: str, offsets: npt.NDArray[np.int64], is_added: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    is_free = np.ones(len(text) + 1, dtype=bool)
    for start, end in offsets:
        is_free[start:end] = False
    wider, cursor = offsets.copy(), 0
    for index in np.flatnonzero(~is_added):
        start, end = offsets[index]
        if text[cursor:start].isspace():
            start = cursor
        if start == end == cursor and is_free[end] and text[end : end + 1].isspace():
            end += 1  # trimming leaves a space at the very beginning no range to find it by
        while start < end < len(text) and is_free[end] and not text[end].isspace():
            end += 1
        wider[index], cursor = (start, end), max(cursor, end)
    return wider


def _after(head: Tokens, whole: Tokens) -> npt.NDArray[np.int64] | None:
    """The ids of ``whole`` after ``head``, None if they begin otherwise, or the last one has swallowed more text."""
    n = len(head.ids)
    same = np.array_equal(whole.ids[:n], head.ids) and np.array_equal(whole.offsets[:n], head.offsets)
    return whole.ids[n:] if same else None
