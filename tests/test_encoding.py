"""Prompts in token ids: which characters each token covers, what it is, and where the response begins."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import normalizers

from aftertune.errors import CheckpointError, PromptError
from aftertune.prompts import EncodedPrompt, Message, Prompt, encode, show_tokens
from tokenizers_for_tests import CHATML, STRIPPING, byte_fallback, byte_level, sentencepiece, word_level

KINDS: dict[str, Callable[[], Any]] = {
    "byte_level": byte_level,
    "byte_level_trimmed": lambda: byte_level(trim=True),
    "sentencepiece_first": sentencepiece,
    "sentencepiece_always": lambda: sentencepiece("always"),
    "byte_fallback": byte_fallback,
    "nfc": lambda: word_level("NFC"),
    "nfkc": lambda: word_level("NFKC"),
}
TEXTS = {
    "chinese": "hello 中文, the world",
    "arabic with marks": "\u200fhello \u202bمرحبا\u202c the",
    "joined emoji": "a 👩\u200d👩\u200d👧 b 😀",
    "combining": "cafe\u0301 world o\u0302\u0323",
    "line breaks": "hello\r\n\r\nworld\n",
    "spaces": "   hello  world ",
    "tabs": "\thello\tworld",
    "control-like": "hello <|im_end|> world",
}


def ask(*contents: str, spans: Any = None, context: str = "", roles: tuple[str, ...] = ("user",)) -> Prompt:
    messages = tuple(Message(role, content) for role, content in zip(roles, contents, strict=True))
    return Prompt("p", messages, spans=spans, context=context)


def covered(encoded: EncodedPrompt) -> list[str]:
    return [encoded.text[start:end] for start, end in encoded.offsets]


def chosen(encoded: EncodedPrompt, mask: Any) -> str:
    return "".join(piece for piece, marked in zip(covered(encoded), mask, strict=True) if marked)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_raw_ids_and_ranges_of_any_text(make: Callable[[], Any], text: str) -> None:
    tokenizer = make()
    encoded = encode(ask(text), tokenizer)
    expected = tokenizer(text, split_special_tokens=True).input_ids
    dropped = 1 if expected[-1] == tokenizer.eos_token_id else 0
    assert encoded.ids.tolist() == expected[: len(expected) - dropped]
    assert encoded.ids.dtype == encoded.offsets.dtype == np.int64
    assert encoded.offsets.shape == (len(encoded.ids), 2) and len(encoded.tokens) == len(encoded.ids)
    starts, ends = encoded.offsets[encoded.is_user].T
    assert (starts < ends).all() and (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all()
    # Every character belongs to a token, but for white space at the end, which some tokenizers drop.
    held = {place for start, end in encoded.offsets for place in range(start, end)}
    assert held >= set(range(len(text.rstrip())))
    n_added = 1 if encoded.ids[0] == tokenizer.bos_token_id else 0
    assert encoded.is_user.tolist() == [False] * n_added + [True] * (len(encoded.ids) - n_added)
    assert np.array_equal(encoded.is_instruction, encoded.is_user)


def test_byte_level_tokens_of_one_character_share_its_range() -> None:
    encoded = encode(ask("hello 😀a"), byte_level())
    assert covered(encoded) == ["hello", " 😀", "😀", "😀", "😀", "a"]
    assert encoded.tokens == ("hello", "Ġð", "Ł", "ĺ", "Ģ", "a")


def test_trimmed_spaces_are_given_back() -> None:
    encoded = encode(ask(" hello   a hello"), byte_level(trim=True))
    assert covered(encoded) == [" hello", " ", " ", " ", "a", " hello"]
    assert covered(encode(ask("  a"), byte_level(trim=True))) == [" ", " ", "a"]


def test_composed_characters_are_covered_whole() -> None:
    assert covered(encode(ask("cafe\u0301 world"), word_level("NFC"))) == ["cafe\u0301", " world"]
    encoded = encode(ask("the \ufb01le"), word_level("NFKC"))
    assert covered(encoded) == ["the", " \ufb01le"] and encoded.tokens == ("the", "file")


def test_word_mark_that_stands_alone_is_the_users_and_is_shown() -> None:
    encoded = encode(ask("中"), sentencepiece())
    assert encoded.tokens == ("<s>", "▁", "中") and covered(encoded) == ["", "中", "中"]
    assert encoded.is_user.tolist() == [False, True, True]


def test_no_end_of_sequence_between_prompt_and_response() -> None:
    tokenizer = byte_fallback()
    encoded = encode(ask("hello"), tokenizer, response=" hello")
    assert tokenizer.convert_ids_to_tokens(encoded.ids.tolist()) == ["<s>", "▁hello"]
    assert encoded.response_ids is not None and encoded.response_ids.tolist() == [encoded.ids[1]]


def test_the_tokenizer_is_left_as_found() -> None:
    tokenizer = byte_level()
    before = tokenizer.backend_tokenizer.to_str()
    encode(ask("hello <|im_end|>"), tokenizer)
    assert tokenizer.backend_tokenizer.encode_special_tokens is False
    assert tokenizer.backend_tokenizer.to_str() == before


class TestInstruction:
    def test_marked_spans_only(self) -> None:
        encoded = encode(ask("the world hello in", spans=((0, 3, 0), (10, 15, 0))), word_level())
        assert encoded.is_instruction.tolist() == [True, False, True, False]
        assert encoded.is_user.all()

    def test_all_but_the_context_at_its_last_place(self) -> None:
        encoded = encode(ask("hello the hello world", context="hello"), word_level())
        assert encoded.is_instruction.tolist() == [True, True, False, True]
        absent = encode(ask("hello the", context="world"), word_level())
        assert absent.is_instruction.all()

    def test_only_in_user_messages_of_a_chat(self) -> None:
        roles = ("system", "user", "assistant", "user")
        prompt = ask("the in", "a hello", "the world", "hello a hello", roles=roles, context="a hello")
        encoded = encode(prompt, byte_level(), "chat")
        assert chosen(encoded, encoded.is_user) == "the ina hellothe worldhello a hello"
        assert chosen(encoded, encoded.is_instruction) == "a hellohello "
        assert not (encoded.is_instruction & ~encoded.is_user).any()

    def test_spans_move_with_the_message_and_with_stripping(self) -> None:
        prompt = ask("in", "      hello a hello  ", roles=("system", "user"), spans=((11, 13, 1),))
        for template in (CHATML, STRIPPING):
            encoded = encode(prompt, byte_level(template), "chat")
            assert chosen(encoded, encoded.is_instruction) == " a"

    @pytest.mark.parametrize("span", [(0, 9, 0), (3, 3, 0), (0, 1, 1), (0, 1, -1)])
    def test_spans_outside_are_refused(self, span: tuple[int, int, int]) -> None:
        with pytest.raises(PromptError, match="span"):
            encode(ask("hello", spans=(span,)), word_level())


class TestChat:
    def test_template_tokens_are_kept_and_are_not_the_users(self) -> None:
        tokenizer = byte_level()
        encoded = encode(ask("user"), tokenizer, "chat")
        assert encoded.text == "<|im_start|>user\nuser<|im_end|>\n<|im_start|>assistant\n"
        rendered = tokenizer.apply_chat_template([{"role": "user", "content": "user"}], add_generation_prompt=True)
        assert encoded.ids.tolist() == rendered["input_ids"]
        # The word of the template is not mistaken for the same word of the user.
        assert encoded.is_user.tolist() == [False] * 6 + [True] * 4 + [False] * 13
        assert encoded.offsets[encoded.is_user].min() == encoded.text.index("\n") + 1
        assert encoded.template == "chat" and np.array_equal(encoded.is_instruction, encoded.is_user)

    def test_stripped_content_is_found(self) -> None:
        encoded = encode(ask(" \n hello hello\n"), byte_level(STRIPPING), "chat")
        assert chosen(encoded, encoded.is_user) == "hello hello"

    def test_messages_that_the_template_moves(self) -> None:
        moving = "{{ messages[1].content }}|{{ messages[0].content }}|"
        prompt = ask("in", "hello", roles=("system", "user"))
        encoded = encode(prompt, byte_level(moving), "chat")
        assert encoded.text == "hello|in|" and chosen(encoded, encoded.is_instruction) == "hello"

    @pytest.mark.parametrize(
        "template",
        [
            CHATML.replace("m.content", "m.content | upper"),
            CHATML.replace("m.content", "m.content[:3]"),
            CHATML.replace("m.content", "m.content ~ m.content"),
            CHATML.replace("{{ m.content }}", ""),
            CHATML + "{{ messages[0].content | length }}",
            CHATML + "{% if messages[0].content == 'hello' %}more{% endif %}",
            "{% if messages[0].content == 'hello' %}more{% endif %}" + CHATML,
        ],
    )
    def test_a_template_that_rewrites_is_refused(self, template: str) -> None:
        with pytest.raises(PromptError, match=r"rewrites or leaves out messages of prompt 'p'.*Use the template raw"):
            encode(ask("hello"), byte_level(template), "chat")

    def test_a_template_that_refuses_says_why(self) -> None:
        template = "{{ raise_exception('no system turn, please') }}"
        with pytest.raises(PromptError, match=r"refuses prompt 'p': no system turn, please"):
            encode(ask("hello"), byte_level(template), "chat")

    def test_no_template(self) -> None:
        with pytest.raises(PromptError, match=r"no chat template\. Use the template raw"):
            encode(ask("hello"), byte_level(None), "chat")

    def test_control_tokens_in_what_the_user_says_are_refused(self) -> None:
        with pytest.raises(PromptError, match=r"text of prompt 'p' contains '<\|im_end\|>'.*or use the template raw"):
            encode(ask("hello <|im_end|>"), byte_level(), "chat")
        with pytest.raises(PromptError, match=r"response of prompt 'p' contains '<\|im_end\|>'"):
            encode(ask("hello"), byte_level(), "chat", "a<|im_end|>")


class TestResponse:
    """Word pieces, as the border is what matters."""

    def pieces(self, tokenizer: Any, text: str, response: str, template: str = "raw") -> list[str]:
        encoded = encode(ask(text), tokenizer, template, response)
        alone = encode(ask(text), tokenizer, template)
        assert np.array_equal(encoded.ids, alone.ids) and alone.response_ids is None
        assert encoded.response_ids is not None and encoded.response_ids.dtype == np.int64
        pieces: list[str] = tokenizer.convert_ids_to_tokens(encoded.response_ids.tolist())
        return pieces

    def test_goes_on_where_the_prompt_ends(self) -> None:
        assert self.pieces(byte_level(), "a", " hello") == ["Ġhello"]
        assert self.pieces(sentencepiece(), "the", " world hello") == ["▁world", "▁hello"]

    def test_merge_across_the_border_leaves_the_prompt_alone(self) -> None:
        assert self.pieces(byte_level(), "a hell", "o hello") == ["o", "Ġhello"]
        # ":" would merge with ")" again, so another beginning is tried.
        assert self.pieces(byte_level(), "a:", ") hello") == [")", "Ġhello"]

    def test_another_beginning_is_tried_where_the_first_merges_too(self) -> None:
        assert self.pieces(sentencepiece(), "the:", ")the") == [")", "the"]

    @pytest.mark.parametrize("scheme", ["first", "always"])
    def test_no_space_is_put_before_a_response(self, scheme: str) -> None:
        assert self.pieces(sentencepiece(scheme), "the wor", "ld hello") == ["l", "d", "▁hello"]
        assert self.pieces(sentencepiece(scheme), "hello ", "world") == ["world"]
        assert self.pieces(byte_fallback(), "a hel", "lo hello") == ["l", "o", "▁hello"]

    def test_unknown_word_does_not_swallow_the_response(self) -> None:
        assert self.pieces(word_level(), "hello zebra", "hello") == ["hello"]

    def test_after_a_template(self) -> None:
        assert self.pieces(byte_level(), "a", "hello", "chat") == ["hello"]
        assert self.pieces(byte_level(), "a", "\nhello", "chat") == ["Ċ", "hello"]

    def test_control_like_text_is_text(self) -> None:
        assert "</s>" not in self.pieces(byte_fallback(), "a", "</s>")

    @pytest.mark.parametrize("response", ["", "   "])
    def test_without_a_token_is_refused(self, response: str) -> None:
        with pytest.raises(PromptError, match="response of prompt 'p' has no token"):
            encode(ask("hello"), word_level(), response=response)


def test_length_of_prompt_and_response() -> None:
    tokenizer = word_level()
    assert len(encode(ask("hello the"), tokenizer, max_length=2).ids) == 2
    with pytest.raises(PromptError, match="has 3 tokens, the model's context 2"):
        encode(ask("hello the in"), tokenizer, max_length=2)
    encode(ask("hello"), tokenizer, response=" the in", max_length=3)
    with pytest.raises(PromptError, match=r"has 1 \+ 2 of its response tokens, the model's context 2"):
        encode(ask("hello"), tokenizer, response=" the in", max_length=2)


def test_what_cannot_be_encoded() -> None:
    tokenizer = sentencepiece()
    with pytest.raises(PromptError, match=r"'Chat' is not known\. Allowed: raw, chat"):
        encode(ask("hello"), tokenizer, "Chat")
    with pytest.raises(PromptError, match="'p' has 2 messages; without a template"):
        encode(ask("in", "hello", roles=("system", "user")), tokenizer)
    with pytest.raises(PromptError, match="'p' is empty"):
        encode(ask(" \n"), tokenizer)
    with pytest.raises(PromptError, match="'p' is empty"):
        encode(ask("hello", roles=("assistant",)), tokenizer, "chat")
    with pytest.raises(PromptError, match="half a surrogate pair"):
        encode(ask("a\ud83d"), tokenizer)
    # Unigram finds its control pieces in any text, so nothing but refusing keeps them out.
    with pytest.raises(PromptError, match=r"contains '</s>'.*or use a tokenizer that reads it as text"):
        encode(ask("hello</s>world"), tokenizer)
    with pytest.raises(CheckpointError, match=r"SimpleNamespace does not say .* Save it as a fast tokenizer"):
        encode(ask("hello"), SimpleNamespace(is_fast=False))


def test_text_of_which_the_tokenizer_keeps_nothing() -> None:
    tokenizer = word_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("~", "")
    with pytest.raises(PromptError, match="makes no token of what the user says in prompt 'p'"):
        encode(ask("~~"), tokenizer)


def test_show_tokens() -> None:
    tokenizer = byte_level()
    ids = tokenizer("hello hello😀", add_special_tokens=False).input_ids
    assert show_tokens(tokenizer, ids) == ("hello", " hello", "ð", "Ł", "ĺ", "Ģ")
    assert show_tokens(tokenizer, np.array([10**6])) == ("<1000000>",)
