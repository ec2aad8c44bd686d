"""The pieces of released maps are found again in the text of their prompts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from aftertune.errors import PromptError
from aftertune.explainers.attribution.map_file import RawMap
from aftertune.explainers.attribution.released import locate
from aftertune.prompts.alignment import align_pieces
from aftertune.prompts.prompt import Message, Prompt
from comparison_samples import make_map


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("Say it", ["▁Say", "▁it"], ["Say", " it"]),
        ("Say it", ["<s>", "▁Say", "▁it", "</s>"], ["", "Say", " it", ""]),
        (" Say", ["▁", "▁Say"], ["", " Say"]),
        (" Say", ["▁▁", "Say"], [" ", "Say"]),
        ("a\n\nb", ["▁a", "<0x0A>", "<0x0A>", "b"], ["a", "\n", "\n", "b"]),
        ("\na", ["▁", "<0x0A>", "a"], ["", "\n", "a"]),
        ("好 é", ["▁", "<0xE5>", "<0xA5>", "<0xBD>", "▁é"], ["", "好", "好", "好", " é"]),
        ("a  b\n c", ["▁a", "▁b", "▁c"], ["a", "b", "c"]),
        ("a\nb", ["▁a", "▁b"], ["a", "b"]),
        ("a▁b", ["▁a", "▁b"], ["a", "▁b"]),
        (" Say", ["▁Say"], [" Say"]),
        ("Hi there\n", ["Hi", "Ġthere", "Ċ"], ["Hi", " there", "\n"]),
        ("é好", ["Ã©", "å¥", "½"], ["é", "好", "好"]),
        ("Café", ["Caf", "é"], ["Caf", "é"]),
        ("<s> is a tag", ["▁<", "s", ">", "▁is", "▁a", "▁tag"], ["<", "s", ">", " is", " a", " tag"]),
        ("Hi", ["<|begin_of_text|>", "Hi", "[SEP]"], ["", "Hi", ""]),
        ("", [], []),
        ("end ", ["▁end"], ["end"]),
    ],
)
def test_pieces_are_found(text: str, pieces: list[str], expected: list[str]) -> None:
    found = align_pieces(text, pieces)
    assert found.shape == (len(pieces), 2) and found.dtype == np.int64
    assert [text[start:end] for start, end in found] == expected


@pytest.mark.parametrize(
    ("text", "pieces", "message"),
    [
        ("Say it", ["▁Say", "▁that"], r"Piece 1 \('▁that'\) does not stand at character 3 .*' it'"),
        ("Say it", ["▁Say"], "The pieces end before the text at character 3"),
        ("Say", ["▁Say", "▁it"], "Piece 1"),
        ("unit", ["▁un", "▁it"], "Piece 1"),
        ("é", ["▁", "<0xC3>", "<0xAA>"], "Piece 2"),
    ],
)
def test_a_piece_that_is_not_there_is_refused(text: str, pieces: list[str], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        align_pieces(text, pieces)


@given(st.text(alphabet="aB é好🧙\n\t.▁<>Ġ0", max_size=30))
def test_sentencepiece_bytes_spell_any_text(text: str) -> None:
    pieces = ["▁"]
    for character in text:
        known = character in "aB.<>Ġ0é"
        data = ["▁"] if character in " ▁" else [character] if known else [f"<0x{b:02X}>" for b in character.encode()]
        pieces += data
    found = align_pieces(text, pieces)[1:]
    owners = [n for n, c in enumerate(text) for _ in range(1 if c in "aB.<>Ġ0é ▁" else len(c.encode()))]
    assert found.tolist() == [[n, n + 1] for n in owners]


@settings(deadline=None)
@given(st.text(alphabet="aB é好🧙\n\t.▁<>Ġ0", max_size=30))
def test_byte_level_agrees_with_a_real_tokenizer(text: str) -> None:
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: n for n, symbol in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = splitter
    encoded = tokenizer.encode(text)
    found = align_pieces(text, encoded.tokens)
    assert [tuple(pair) for pair in found.tolist()] == encoded.offsets


def raw_map(tokens: tuple[str, ...], **more: object) -> RawMap:
    levels = np.zeros((len(tokens), 1), dtype=np.uint8)
    return replace(RawMap("a", "d", "vicuna_7b", tokens, ("x",), len(tokens), 1, levels), **more)


def test_locate_marks_instruction_and_rating() -> None:
    prompt = Prompt("a", (Message("user", "Say it. Input: b"),), "d", ((0, 7, 0),), ratings={"vicuna_7b": 3})
    found = locate(raw_map(("<s>", "▁Say", "▁it", ".", "▁Input", ":", "▁b")), prompt)
    assert found.is_instruction.tolist() == [False, True, True, True, False, False, False]
    assert found.is_user.tolist() == [False] + [True] * 6
    assert (found.helpfulness, found.text, found.dataset) == (3, prompt.text, "d")
    assert (
        locate(replace(raw_map(("▁Say",)), model="llama_7b"), Prompt("a", (Message("user", "Say"),))).helpfulness
        is None
    )


def test_locate_finds_the_prompt_inside_its_template() -> None:
    text = "A a chat. USER: a b ASSISTANT:"
    offsets = np.array([(0, 1), (1, 3), (3, 9), (9, 15), (15, 17), (17, 19), (19, 30)])
    is_user = np.array([False, False, False, False, True, True, False])
    raw = raw_map(("x",) * 7, prompt_text=text, prompt_offsets=offsets, is_user=is_user)
    prompt = Prompt("a", (Message("system", "A a chat."), Message("user", " a b")), spans=((1, 2, 1),))
    assert np.flatnonzero(locate(raw, prompt).is_instruction).tolist() == [4]
    assert np.flatnonzero(locate(raw, replace(prompt, spans=None)).is_instruction).tolist() == [4, 5]
    with pytest.raises(PromptError, match="'other' is not in the text that was measured"):
        locate(raw, replace(prompt, messages=(Message("user", "other"),), spans=None))


def test_locate_refuses_what_does_not_belong_together() -> None:
    prompt = Prompt("a", (Message("user", "Say"),))
    with pytest.raises(PromptError, match="The map is of prompt 'b'"):
        locate(replace(raw_map(("▁Say",)), id="b"), prompt)
    with pytest.raises(PromptError, match=r"Prompt 'a' under 'vicuna_7b': Piece 0"):
        locate(raw_map(("▁Go",)), prompt)
    with pytest.raises(PromptError, match=r"token 0 are 0\.\.9"):
        locate(raw_map(("▁Say",), prompt_offsets=np.array([(0, 9)])), prompt)


def test_an_exported_map_comes_back_as_it_was() -> None:
    salient = make_map("a", "m", 3)
    raw = RawMap(
        *("a", "d", "m", salient.prompt_tokens, salient.response_tokens, 2, 16, salient.levels),
        *(salient.offsets, salient.text, salient.is_user),
    )
    back = locate(raw, Prompt("a", (Message("user", salient.text),), spans=((0, 6, 0),)))
    assert back.score() == salient.score() and (back.is_instruction == salient.is_instruction).all()
