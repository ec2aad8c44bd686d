"""Where does each piece of a tokenised prompt stand in the prompt's text?

Maps that were computed elsewhere name their prompt tokens by pieces, not by characters.
1. Every piece is turned into the bytes it stands for. SentencePiece: "▁" is a space, "<0xE2>" a byte. Byte level
   (GPT-2 and its heirs): every character is one byte, a space is "Ġ". Other pieces: their own UTF-8.
2. The pieces must spell the text to its last byte, with or without the one space that SentencePiece puts before it.
3. Where they do not, some tokenizers fold white space: white space of the text that no piece spells is passed over,
   and the space of a piece may stand for it. Nothing else is forgiven.
4. A special token ("<s>", "<|endoftext|>", "[CLS]") that the text does not spell has an empty range, and so has the
   space before the text.
5. A piece with part of a character's bytes gets the whole character, so several pieces may share one.

The kind of pieces is the one that spells the text; two kinds that both do agree, since then all of it is ASCII.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from aftertune.errors import PromptError
from aftertune.runs.readable import BYTE_OF, BYTE_PIECE, SPACE_PIECE

SPECIAL = re.compile(r"<[^<>\s]+>|\[[A-Za-z_0-9]+\]")
WHITE_SPACE = re.compile(rb"\s*")
SHOWN = 24

Range = tuple[int, int]
Spelling = Callable[[str], bytes | None]
Finder = Callable[[bytes, int, bytes], Range | None]


def align_pieces(text: str, pieces: Sequence[str]) -> npt.NDArray[np.int64]:
    """Character ranges (n_pieces, 2) of the pieces in ``text``, in their order.

    Raises `PromptError` if a piece does not stand where it must, or if the pieces end before the text does.
    """
    losses = []
    for finder, lead in ((_exactly, " "), (_exactly, ""), (_folded, "")):
        # To SentencePiece a "▁" of the text itself and a space are the same.
        for spelling, spelled in ((_sentencepiece, text.replace(SPACE_PIECE, " ")), (_byte_level, text)):
            try:
                ranges = list(_lay(_bytes(lead + spelled), [(piece, spelling(piece)) for piece in pieces], finder))
                return np.maximum(_to_characters(lead + spelled, ranges) - len(lead), 0)
            except _LostError as lost:
                losses.append((lost.index, lost.explain(lead + text, len(lead))))
    raise PromptError(max(losses)[1])


def align_bytes(text: str, pieces: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """As `align_pieces`, for pieces whose bytes are known: they spell the text, or a space and the text."""
    losses = []
    for lead in ("", " "):
        try:
            shown = [(piece.decode("utf-8", "replace"), piece) for piece in pieces]
            ranges = list(_lay(_bytes(lead + text), shown, _exactly))
            return np.maximum(_to_characters(lead + text, ranges) - len(lead), 0)
        except _LostError as lost:
            losses.append((lost.index, lost.explain(lead + text, len(lead))))
    raise PromptError(max(losses)[1])


class _LostError(Exception):
    """The piece number ``index`` does not stand at byte ``cursor``."""

    def __init__(self, index: int, cursor: int, piece: str) -> None:
        super().__init__(index, cursor, piece)
        self.index, self.cursor, self.piece = index, cursor, piece

    def explain(self, text: str, n_lead: int) -> str:
        at = len(_bytes(text)[: self.cursor].decode("utf-8", "ignore"))
        what = f"Piece {self.index} ({self.piece!r}) does not stand" if self.piece else "The pieces end before the text"
        return (
            f"{what} at character {max(at - n_lead, 0)} of the prompt, where {text[at : at + SHOWN]!r} comes. The "
            "tokens must be those of this very prompt, as SentencePiece or byte-level pieces: check its id and text."
        )


def _lay(plain: bytes, pieces: Sequence[tuple[str, bytes | None]], finder: Finder) -> Iterator[Range]:
    cursor = 0
    for index, (piece, wanted) in enumerate(pieces):
        found = None if wanted is None else finder(plain, cursor, wanted)
        if found is None and SPECIAL.fullmatch(piece) and not BYTE_PIECE.fullmatch(piece):
            found = cursor, cursor
        if found is None:
            raise _LostError(index, cursor, piece)
        yield found
        cursor = found[1]
    if plain[cursor:] if finder is _exactly else plain[cursor:].strip():
        raise _LostError(len(pieces), cursor, "")


def _exactly(plain: bytes, cursor: int, wanted: bytes) -> Range | None:
    return (cursor, cursor + len(wanted)) if plain.startswith(wanted, cursor) else None


def _folded(plain: bytes, cursor: int, wanted: bytes) -> Range | None:
    bare, gap = wanted.removeprefix(b" "), WHITE_SPACE.match(plain, cursor)
    after = gap.end() if gap else cursor
    # A piece may lack its own space only where a word begins.
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


def _to_characters(text: str, ranges: list[Range]) -> npt.NDArray[np.int64]:
    found = np.array(ranges, dtype=np.int64).reshape(-1, 2)
    ends = np.cumsum([len(_bytes(character)) for character in text], dtype=np.int64)
    starts = np.searchsorted(ends, found[:, 0], side="right")
    stops = np.where(found[:, 1] > found[:, 0], np.searchsorted(ends, found[:, 1], side="left") + 1, starts)
    return np.stack([starts, stops], axis=1).astype(np.int64)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
