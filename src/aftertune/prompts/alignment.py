"""Where does each piece of a tokenised prompt stand in the prompt's text?

Maps that were computed elsewhere name their prompt tokens by pieces, not by characters.
1. Every piece is turned into the bytes it stands for. SentencePiece: "▁" is a space, "<0xE2>" a byte. Byte level
   (GPT-2 and its heirs): every character is one byte, a space is "Ġ". Other pieces: their own UTF-8.
2. The pieces are laid along the text's bytes. The space that SentencePiece puts before a text has no width; white
   space of the text that no piece spells (a tokenizer that folds it) is passed over; nothing else is.
3. A special token ("<s>", "<|endoftext|>", "[CLS]") that the text does not spell has an empty range.
4. A piece with part of a character's bytes gets the whole character, so several pieces may share one.

The kind of pieces is the one that spells the text; two kinds that both do agree, since then all of it is ASCII.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from aftertune.errors import PromptError
from aftertune.results.readable import BYTE_OF, BYTE_PIECE, SPACE_PIECE

SPECIAL = re.compile(r"<[^<>\s]+>|\[[A-Za-z_0-9]+\]")
WHITE_SPACE = re.compile(rb"\s*")
SHOWN = 24

Spelling = Callable[[str], bytes | None]


def align_pieces(text: str, pieces: Sequence[str]) -> npt.NDArray[np.int64]:
    """Character ranges (n_pieces, 2) of the pieces in ``text``, in their order.

    Raises `PromptError` if a piece does not stand where it must, or if the pieces end before the text does.
    """
    losses = []
    # A "▁" of the text itself and a space are the same piece to SentencePiece.
    for spelling, spelled_text in ((_sentencepiece, text.replace(SPACE_PIECE, " ")), (_byte_level, text)):
        try:
            return _to_characters(spelled_text, list(_lay(_bytes(spelled_text), pieces, spelling)))
        except _LostError as lost:
            losses.append((lost.index, lost.explain(spelled_text)))
    raise PromptError(max(losses)[1])


class _LostError(Exception):
    """The piece number ``index`` does not stand at byte ``cursor``."""

    def __init__(self, index: int, cursor: int, piece: str) -> None:
        super().__init__(index, cursor, piece)
        self.index, self.cursor, self.piece = index, cursor, piece

    def explain(self, text: str) -> str:
        at = len(_bytes(text)[: self.cursor].decode("utf-8", "ignore"))
        what = f"Piece {self.index} ({self.piece!r}) does not stand" if self.piece else "The pieces end before the text"
        return (
            f"{what} at character {at} of the prompt, where {text[at : at + SHOWN]!r} comes. The tokens must be those "
            "of this very prompt, as SentencePiece or byte-level pieces: check its id and its text."
        )


def _lay(plain: bytes, pieces: Sequence[str], spelling: Spelling) -> Iterator[tuple[int, int]]:
    cursor = 0
    for index, piece in enumerate(pieces):
        found = _find(plain, cursor, spelling(piece))
        if found is None and SPECIAL.fullmatch(piece):
            found = cursor, cursor
        if found is None:
            raise _LostError(index, cursor, piece)
        yield found
        cursor = found[1]
    if plain[cursor:].strip():
        raise _LostError(len(pieces), cursor, "")


def _find(plain: bytes, cursor: int, wanted: bytes | None) -> tuple[int, int] | None:
    if wanted is None:
        return None
    bare = wanted.removeprefix(b" ")
    gap = WHITE_SPACE.match(plain, cursor)
    after = gap.end() if gap else cursor
    # As it stands, or after white space that no piece spells; without a space of its own only where a word begins.
    for start, spelled in ((cursor, wanted), (cursor, bare), (after, wanted), (after, bare)):
        begins_word = start == 0 or plain[start - 1 : start].isspace()
        if plain.startswith(spelled, start) and (spelled == wanted or begins_word):
            return start, start + len(spelled)
    return None


def _sentencepiece(piece: str) -> bytes | None:
    byte = BYTE_PIECE.fullmatch(piece)
    if byte:
        return bytes([int(byte[1], 16)])
    return _bytes(piece.replace(SPACE_PIECE, " "))


def _byte_level(piece: str) -> bytes | None:
    known = all(character in BYTE_OF for character in piece)
    return bytes(BYTE_OF[character] for character in piece) if known else None


def _to_characters(text: str, ranges: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    found = np.array(ranges, dtype=np.int64).reshape(-1, 2)
    ends = np.cumsum([len(_bytes(character)) for character in text], dtype=np.int64)
    starts = np.searchsorted(ends, found[:, 0], side="right")
    stops = np.where(found[:, 1] > found[:, 0], np.searchsorted(ends, found[:, 1], side="left") + 1, starts)
    return np.stack([starts, stops], axis=1).astype(np.int64)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
