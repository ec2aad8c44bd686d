"""A server's tokenizer in the words of transformers: what `aftertune.prompts` asks of any tokenizer.

1. A text goes to the server; its tokens come back with what they spell, and must spell the text (`prompts.alignment`).
2. Tokens that are added around a text are those that are not there when none is to be added.
3. A chat template that the server shows is rendered here, as that of a checkpoint is; one that it doesn't show, there.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken

from aftertune.errors import CheckpointError, PromptError
from aftertune.models.served.dialect import Dialect, Ids, Piece
from aftertune.prompts.alignment import align_bytes, align_pieces
from aftertune.runs.readable import BYTE_OF

LETTER_OF = {byte: letter for letter, byte in BYTE_OF.items()}


class ServedTokenizer:
    """The tokenizer of a model behind a server, as far as prompts are read with it."""

    is_fast = True  # it says which characters a token covers

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._own_template = dialect.chat_template
        self.chat_template: Any = dialect.chat_template
        self.backend_tokenizer = SimpleNamespace(encode_special_tokens=False)
        self.added_tokens_decoder: dict[int, AddedToken] = {}
        self._pieces: dict[int, str | bytes] = {}
        self._texts: dict[int, str] = {}

    def __call__(
        self, text: str, *, add_special_tokens: bool, split_special_tokens: bool, **_: Any
    ) -> dict[str, list[Any]]:
        """Token ids, their ranges in the text, and which were added to it.

        Raises `PromptError` where tokens can't be told from what they spell, `CheckpointError` where the server fails.
        """
        control = not split_special_tokens
        inside = self._dialect.tokenize(text, control=control, added=False)
        whole = self._dialect.tokenize(text, control=control, added=True) if add_special_tokens else inside
        self._pieces |= {one.id: one.piece for one in whole}
        start = _place_of(inside, whole)
        if control:
            self._keep_control(text, inside)
        offsets = np.zeros((len(whole), 2), np.int64)
        offsets[start : start + len(inside)] = _align(text, inside)
        is_added = np.ones(len(whole), np.int64)
        is_added[start : start + len(inside)] = 0
        ids = [one.id for one in whole]
        return {"input_ids": ids, "offset_mapping": offsets.tolist(), "special_tokens_mask": is_added.tolist()}

    def apply_chat_template(self, turns: list[dict[str, Any]], *, tools: list[Any] | None = None, **_: Any) -> str:
        """The text of a chat with the beginning of an answer; raises `ValueError` if the template refuses it.

        A server that does not show its template is not sent ``tools``.
        """
        from transformers.utils.chat_template_utils import render_jinja_template

        if self.chat_template == self._own_template and not self._is_shown:
            try:
                return self._dialect.render(turns)
            except CheckpointError as error:
                raise ValueError(str(error)) from error
        if not self._is_shown:
            raise ValueError("it is that of another server, which does not show it")
        texts = self._dialect.special_texts
        rendered, _ = render_jinja_template(
            conversations=[turns], tools=tools, chat_template=self.chat_template, add_generation_prompt=True, **texts
        )
        return str(rendered[0])

    def decode(self, ids: Ids, **_: Any) -> str:
        """The text of tokens; what is no character reads "\ufffd"."""
        if len(ids) != 1:
            return self._dialect.detokenize(ids) if len(ids) else ""
        id = int(ids[0])
        if id not in self._texts:
            self._texts[id] = self._dialect.detokenize([id])
        return self._texts[id]

    def convert_ids_to_tokens(self, id: int) -> str | None:
        """The token as byte-level tokenizers write it; None where its bytes are not known."""
        piece = self._pieces.get(id)
        return "".join(LETTER_OF[byte] for byte in piece) if isinstance(piece, bytes) else piece

    @property
    def _is_shown(self) -> bool:
        """Whether the template is one, and not only a sign that the server has one."""
        return "{" in str(self.chat_template)

    def _keep_control(self, text: str, pieces: Sequence[Piece]) -> None:
        spelled = {one.id: one.piece for one in pieces}
        for id in self._dialect.control_ids(text, pieces):
            piece = spelled[id]
            content = piece.decode("utf-8", "replace") if isinstance(piece, bytes) else piece
            self.added_tokens_decoder[id] = AddedToken(content, special=True)


def _align(text: str, pieces: Sequence[Piece]) -> npt.NDArray[np.int64]:
    known = [one.piece for one in pieces if isinstance(one.piece, bytes)]
    if len(known) == len(pieces):
        return align_bytes(text, known)
    return align_pieces(text, [str(one.piece) for one in pieces])


def _place_of(inside: Sequence[Piece], whole: Sequence[Piece]) -> int:
    """Where the tokens of a text stand among those with what was added around it."""
    wanted, ids = [one.id for one in inside], [one.id for one in whole]
    for start in range(len(ids) - len(wanted) + 1):
        if ids[start : start + len(wanted)] == wanted:
            return start
    raise PromptError(
        "The server reads a text as other tokens where it adds its own around it, so characters can't be told to "
        "tokens. Use the template chat."
    )
