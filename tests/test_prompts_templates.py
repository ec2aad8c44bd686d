"""Chat templates as models have them: tools, thinking, developers, dates, arguments, those that never end."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aftertune.errors import CheckpointError, PromptError
from aftertune.prompts import EncodedPrompt, Message, Prompt, encode, templates
from aftertune.prompts.bounded import run_within
from aftertune.prompts.template_head import must_name, read_arguments, read_template_file, told
from tokenizers_for_tests import CHATML, byte_fallback, byte_level

ASKED = Message("user", "how warm")
CALL = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "", "parameters": {}}}
GIVEN = Message("tool", "21 degrees", '{"tool_call_id": "c1"}')
# As most: arguments as an object, whose keys it goes through.
OF_OBJECTS = (
    "{% for t in tools or [] %}[{{ t.function.name }}]{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}"
    "{% for key, value in c.function.arguments.items() %} {{ key }}={{ value }}{% endfor %}</call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As DeepSeek's: arguments are put together as a text.
OF_TEXTS = OF_OBJECTS.replace(
    "{% for key, value in c.function.arguments.items() %} {{ key }}={{ value }}{% endfor %}",
    "{{ ' ' + c.function.arguments }}",
)
# As Qwen3's: what was thought before is taken out.
WITHOUT_THINKING = CHATML.replace(
    "{{ m.content }}",
    "{% set said = m.content %}{% if '</think>' in said %}{% set said = said.split('</think>')[-1].lstrip('\\n') %}"
    "{% endif %}{{ said }}",
)
THOUGHT = Message("assistant", "<think>\nhello world\n</think>\n\nthe world")


def called(more: Any = CALL, content: str = "") -> Message:
    return Message("assistant", content, json.dumps({"tool_calls": [more]}))


def put(template: str | None, *messages: Message, tools: Any = None, name: str = "chat") -> EncodedPrompt:
    prompt = Prompt("p", messages, tools=json.dumps(tools) if tools else "")
    return encode(prompt, byte_level(template), name)


def said_by(found: EncodedPrompt) -> str:
    return "".join(found.text[start:end] for start, end in found.offsets[found.is_user])


class TestTools:
    @pytest.mark.parametrize(("template", "shown"), [(OF_OBJECTS, "city=Bonn"), (OF_TEXTS, '{"city": "Bonn"}')])
    @pytest.mark.parametrize("written", ["text", "object"])
    def test_calls_are_put_as_the_template_wants_them(self, template: str, shown: str, written: str) -> None:
        function = {"name": "weather", "arguments": CALL["function"]["arguments"]}  # type: ignore[index]
        call = CALL if written == "text" else {"function": function | {"arguments": {"city": "Bonn"}}}
        found = put(template, ASKED, called(call), GIVEN)
        assert f"<call>weather {shown}</call>" in found.text and found.lost == ()
        assert said_by(found) == "how warm21 degrees"  # a call is the template's, as its name is

    def test_a_template_without_calls_is_given_them_as_json(self) -> None:
        found = put(CHATML, ASKED, called(content="hello"), GIVEN)
        assert f"assistant\nhello\n{json.dumps([CALL])}<|im_end|>" in found.text and found.lost == ("calls",)

    def test_tools_stand_where_the_template_has_a_place(self) -> None:
        assert put(OF_OBJECTS, ASKED, tools=[TOOL]).text.startswith("[weather]<|im_start|>user")
        assert put(CHATML, ASKED, tools=[TOOL]).lost == ("tools",)
        assert put(None, ASKED, tools=[TOOL], name="raw").lost == ("tools",)

    def test_tokens_are_those_of_transformers(self) -> None:
        tokenizer = byte_level(OF_OBJECTS)
        found = put(OF_OBJECTS, ASKED, called({"function": {"name": "a", "arguments": {"b": 1}}}), GIVEN, tools=[TOOL])
        turns: list[dict[str, Any]] = [{"role": "user", "content": "how warm"}]
        turns += [
            {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": {"b": 1}}}], "content": ""}
        ]
        turns += [{"role": "tool", "content": "21 degrees"}]
        whole = tokenizer.apply_chat_template(turns, tools=[TOOL], add_generation_prompt=True)
        assert found.ids.tolist() == whole["input_ids"]


class TestThinking:
    def test_what_a_template_takes_out_is_said_and_the_rest_is_found(self) -> None:
        found = put(WITHOUT_THINKING, ASKED, THOUGHT, Message("user", "hello"))
        assert "<|im_start|>assistant\nthe world<|im_end|>" in found.text
        assert said_by(found) == "how warmthe worldhello" and found.lost == ("reasoning",)

    def test_what_a_template_keeps_is_the_messages(self) -> None:
        found = put(CHATML, ASKED, THOUGHT, Message("user", "hello"))
        assert "hello world" in said_by(found) and "the world" in said_by(found) and found.lost == ()

    def test_an_answer_that_begins_within_its_thinking(self) -> None:
        found = put(WITHOUT_THINKING, ASKED, Message("assistant", "hello\n</think>\nthe world"), Message("user", "a"))
        assert said_by(found) == "how warmthe worlda" and found.lost == ("reasoning",)

    def test_reasoning_beside_the_content_is_given_to_the_template(self) -> None:
        template = CHATML.replace("{{ m.content }}", "({{ m.reasoning_content }}){{ m.content }}")
        thought = Message("assistant", "the world", '{"reasoning_content": "hello"}')
        assert "assistant\n(hello)the world<|im_end|>" in put(template, ASKED, thought, Message("user", "a")).text

    def test_reasoning_that_the_template_does_not_read_is_said(self) -> None:
        thought = Message("assistant", "the world", '{"reasoning_content": "hello"}')
        assert put(CHATML, ASKED, thought, Message("user", "a")).lost == ("reasoning",)

    def test_what_is_said_beside_a_call_may_be_left_out(self) -> None:
        template = OF_OBJECTS.replace("{{ m.content }}", "{% if not m.tool_calls %}{{ m.content }}{% endif %}")
        found = put(template, ASKED, called(content="hello"), GIVEN)
        assert "hello" not in found.text and found.lost == ("beside calls",)

    def test_contents_as_parts_for_templates_that_want_them(self) -> None:
        parts = CHATML.replace("{{ m.content }}", "{% for part in m.content %}{{ part.text }}{% endfor %}")
        found = put(parts, Message("system", "in"), ASKED)
        assert found.text == put(CHATML, Message("system", "in"), ASKED).text and said_by(found) == "inhow warm"

    def test_nothing_else_may_be_taken_out(self) -> None:
        template = CHATML.replace("for m in messages", "for m in messages if m.role != 'system'")
        with pytest.raises(
            PromptError, match=r"rewrites or leaves out .*\. Give the file of another template, or change"
        ):
            put(template, Message("system", "in"), ASKED)


class TestRendered:
    TEXT = "<|im_start|>user\nhello world<|im_end|>\n<|im_start|>assistant\n"

    def test_control_tokens_are_read_as_such_and_belong_to_nobody(self) -> None:
        chat, found = (
            put(CHATML, Message("user", "hello world")),
            put(None, Message("user", self.TEXT), name="rendered"),
        )
        assert found.ids.tolist() == chat.ids.tolist()
        special = [token in ("<|im_start|>", "<|im_end|>") for token in found.tokens]
        assert sum(special) == 3 and [not one for one in special] == found.is_user.tolist()
        assert found.is_instruction.tolist() == found.is_user.tolist()

    def test_a_span_that_holds_a_control_token(self) -> None:
        prompt = Prompt("p", (Message("user", self.TEXT),), spans=((17, 38, 0),))
        found = encode(prompt, byte_level(None), "rendered")
        marked = zip(found.tokens, found.is_instruction, strict=True)
        assert "".join(token for token, is_marked in marked if is_marked) == "hello world"

    def test_nothing_is_added_before_it_and_its_response_may_end_with_a_control_token(self) -> None:
        prompt, tokenizer = Prompt("p", (Message("user", "<s>hello"),)), byte_fallback()
        assert encode(prompt, tokenizer, "rendered").tokens[:2] == ("<s>", " hello")
        ended = encode(prompt, tokenizer, "rendered", " hello</s>").response_ids
        assert ended is not None and ended[-1] == tokenizer.eos_token_id

    def test_a_text_that_ends_with_a_control_token_keeps_it(self) -> None:
        found = put(None, Message("user", "hello<|im_end|>"), name="rendered")
        assert found.tokens[-1] == "<|im_end|>"


class TestThatDoNotWork:
    @pytest.mark.parametrize(
        ("template", "said"),
        [
            ("{% for i in range(100000000) %}x{% endfor %}{{ messages[0].content }}", "Range too big"),
            ("{{ 1 / 0 }}", "division by zero"),
            ("{{ messages[0].content.nothing.more }}", "has no attribute 'nothing'"),
            ("{{ messages[7].content }}", "list object has no element 7"),
            ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "recursion"),
        ],
    )
    def test_what_a_template_raises_is_told_in_one_line(self, template: str, said: str) -> None:
        with pytest.raises(PromptError, match=rf"^The chat template refuses prompt 'p': .*{said}.*\.$") as told:
            put(template, ASKED)
        assert "\n" not in str(told.value)

    def test_one_that_does_not_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(templates, "SECONDS", 0.3)
        endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
        with pytest.raises(CheckpointError, match=r"^The chat template has not ended after 0 s\. Give"):
            put(endless, ASKED)

    def test_what_is_stopped_does_no_more(self) -> None:
        done: list[int] = []

        def endless() -> None:
            while True:
                done.append(0)

        with pytest.raises(TimeoutError):
            run_within(0.05, endless)
        run_within(5, lambda: None)
        n = len(done)
        run_within(5, lambda: sum(range(100_000)))
        assert len(done) == n
        with pytest.raises(KeyError):
            run_within(5, lambda: {}["none"])

    def test_one_that_is_no_jinja(self) -> None:
        with pytest.raises(CheckpointError, match=r"^The chat template is no Jinja: .*\(line 2\)\."):
            put("a\n{% for %}", ASKED)


class TestHead:
    MOMENT = datetime(2026, 11, 27, 8, 5)

    def rendered(self, template: str, **arguments: Any) -> str:
        found = told(template, arguments, self.MOMENT)
        text: str = byte_level(found).apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
        return text

    @pytest.mark.parametrize("template", ["\n x", "  {% if true %}\n  y{% endif %}\n", "{{ 'a' }}\n\n"])
    def test_nothing_but_the_values_is_changed(self, template: str) -> None:
        plain = byte_level(template).apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
        assert self.rendered(template, thinking=False) == plain

    def test_values_keep_their_types(self) -> None:
        template = (
            "{{ a is boolean }} {{ b + 1 }} {{ c }} {{ d is undefined }} {% macro m() %}{{ b }}{% endmacro %}{{ m() }}"
        )
        assert self.rendered(template, a=True, b=1.5, c='"ä"\n\\😀') == 'True 2.5 "ä"\n\\😀 True 1.5'

    def test_the_date_is_that_of_the_moment(self) -> None:
        template = (
            "{% if strftime_now is defined %}{% set d = strftime_now('%d %b %Y %H:%M %-d 100%%') %}{% endif %}{{ d }}"
        )
        assert (
            self.rendered(template) == self.MOMENT.strftime("%d %b %Y %H:%M %-d 100%%") == "27 Nov 2026 08:05 27 100%"
        )

    def test_templates_by_name(self) -> None:
        found = told({"default": "a", "tool_use": "b"}, {"x": 1}, self.MOMENT)
        assert found == {"default": "{% set x = 1 %}\na", "tool_use": "{% set x = 1 %}\nb"}
        must_name([{"default": "a", "tool_use": "{{ x }}"}], {"x": 1})

    def test_arguments_as_they_are_written(self) -> None:
        written = ["a=true", "b=False", "c=-3", "d=2.5", "e=26 Jul 2024", 'f="5"', "g=", "h=x=y", "i=nan"]
        values = {
            "a": True,
            "b": False,
            "c": -3,
            "d": 2.5,
            "e": "26 Jul 2024",
            "f": "5",
            "g": "",
            "h": "x=y",
            "i": "nan",
        }
        assert read_arguments(written) == values == read_arguments(values)
        for wrong in (["a"], ["=1"], {"a": [1]}):
            with pytest.raises(PromptError, match="The template argument"):
                read_arguments(wrong)

    @pytest.mark.parametrize("name", ["enable_thinkin", "messages", "a-b"])
    def test_arguments_that_no_template_reads(self, name: str) -> None:
        with pytest.raises(PromptError, match=name):
            must_name(["{{ enable_thinking }}{{ messages }}", None], {name: False})

    def test_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.jinja").write_bytes(b"\xef\xbb\xbf{% x %}\r\n")
        (tmp_path / "b.json").write_text('{"chat_template": "{{ y }}"}')
        (tmp_path / "c.json").write_text('{"eos_token": "x"}')
        assert read_template_file(str(tmp_path / "a.jinja")) == "{% x %}\r\n"
        assert read_template_file(str(tmp_path / "b.json")) == "{{ y }}"
        for name, said in (("c.json", "holds no chat template"), ("none", "There is no file at")):
            with pytest.raises(PromptError, match=said):
                read_template_file(str(tmp_path / name))
