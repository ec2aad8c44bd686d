"""Where sentences begin and end, by cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.prompts.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Do it. Now!  Why?", ["Do it.", "Now!", "Why?"]),
        ("One\n\n two \r\nthree", ["One", "two", "three"]),
        ("Input: a\n\nOutput:", ["Input: a", "Output:"]),
        ("Costs 3.5 per p.c. of it, e.g. Bread, i.e. food.", ["Costs 3.5 per p.c. of it, e.g. Bread, i.e. food."]),
        ("Ask Dr. Who or J. Smith. Then go.", ["Ask Dr. Who or J. Smith.", "Then go."]),
        ("1. Wash it. Dry it.\nB. Eat it.", ["1. Wash it.", "Dry it.", "B. Eat it."]),
        ('He said "Go." Then "(Stop!)" came.', ['He said "Go."', 'Then "(Stop!)" came.']),
        ("It was 5. Then 6 came, and I. They left.", ["It was 5.", "Then 6 came, and I.", "They left."]),
        ("Wait... what? no. yes", ["Wait... what? no. yes"]),
        ("Really?! Yes… Sure.", ["Really?!", "Yes…", "Sure."]),
        ("你好。再见！好", ["你好。", "再见！", "好"]),
        ("Use *bold.* Then _stop._ End", ["Use *bold.*", "Then _stop._", "End"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


@given(st.text(alphabet="ab AB.!?\n\"')1。", max_size=40))
def test_sentences_are_trimmed_ordered_and_leave_only_white_space_out(text: str) -> None:
    spans, cursor = sentences(text), 0
    for start, end in spans:
        assert cursor <= start < end
        assert text[start:end] == text[start:end].strip() and "\n" not in text[start:end]
        assert not text[cursor:start].strip()
        cursor = end
    assert not text[cursor:].strip()
