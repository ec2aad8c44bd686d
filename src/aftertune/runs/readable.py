"""How do a tokenizer's pieces read as text?

1. Byte-level pieces (GPT-2 and its heirs: every character stands for one byte, a space is "Ġ") and SentencePiece's
   ("▁" is a space, "<0xE4>" a byte) are turned back into text; tokens that hold no such piece are text already.
2. A character whose bytes lie in several tokens is given to the token that completes it; the others read as "".
3. `visible` shows what would be unseen, or would turn the text around it: control characters and direction marks.

For reading only: nothing is tokenised again from these texts.
"""

import codecs
import re
from collections.abc import Sequence

BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
SPACE_PIECE = "▁"
LONGEST_QUOTE = 90  # characters
PRINTABLE_BYTES = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHER_BYTES = [byte for byte in range(256) if byte not in PRINTABLE_BYTES]
BYTE_OF = {chr(byte): byte for byte in PRINTABLE_BYTES} | {chr(256 + i): byte for i, byte in enumerate(OTHER_BYTES)}
DIRECTION_MARKS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0x80, 0xA0), 0x2028, 0x2029]
SHOWN = (
    {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}
    | {0x7F: "␡"}
    | {code: f"⟨U+{code:04X}⟩" for code in DIRECTION_MARKS}
    | dict.fromkeys([*range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")  # no characters
)
IN_PLACE = {code: sign if len(sign) == 1 else "␦" for code, sign in SHOWN.items()}


def readable(tokens: Sequence[str]) -> list[str]:
    """The text of each token of one sequence, whatever kind of piece the tokens are; "" if its bytes end later."""
    if _is_byte_level(tokens):
        return _decode([bytes(BYTE_OF[character] for character in token) for token in tokens])
    if any(SPACE_PIECE in token or BYTE_PIECE.fullmatch(token) for token in tokens):
        return _decode([_sentencepiece_bytes(token) for token in tokens])
    return list(tokens)


def visible(text: str) -> str:
    """The same text with control characters and direction marks shown as signs; new lines and tabs are kept."""
    return text.translate(SHOWN)


def quoted(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A text on one line, in quotes, cut where it is longer."""
    plain = " ".join(visible(text).split())
    return f"“{plain if len(plain) <= longest else plain[: longest - 1].rstrip() + '…'}”"


def in_place(text: str) -> str:
    """As `visible`, each character with one sign, so that every character keeps its place."""
    return text.translate(IN_PLACE)


def _is_byte_level(tokens: Sequence[str]) -> bool:
    marked = any("Ġ" in token or "Ċ" in token for token in tokens)
    return marked and all(character in BYTE_OF for token in tokens for character in token)


def _sentencepiece_bytes(token: str) -> bytes:
    byte = BYTE_PIECE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE_PIECE, " ").encode("utf-8", "replace")


def _decode(pieces: Sequence[bytes]) -> list[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = [decoder.decode(piece) for piece in pieces]
    rest = decoder.decode(b"", final=True)
    return [*texts[:-1], texts[-1] + rest] if texts else []
