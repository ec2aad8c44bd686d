"""In which form is an answer written: a list, code, JSON, tags, Markdown, verse, small letters, emoji, a question?"""

import re
from collections.abc import Callable, Mapping

LEAST_LETTERS = 10
LEAST_LINES, SHORT, LONG = 3, 10, 60  # characters of a line of verse
ITEM = re.compile(r"(?m)^\s*(?:[-*•]|\d+[.)])\s")
JSON = re.compile(r'\s*[\[{]\s*(?:"|[\[{])')
MARKDOWN = re.compile(r"(?m)^#{1,6} \S|\*\*[^*\n]+\*\*")
TAG = re.compile(r"</?[A-Za-z][\w-]*(?:\s[^<>]*)?/?>")
ADDRESS = re.compile(r"https?://\w|\bwww\.\w")
EMOJI = re.compile("[\u2600-\u27bf\U0001f000-\U0001ffff]")
FENCE = "```"


def has_list(text: str) -> bool:
    """Whether two lines of a text begin with a bullet or a number."""
    return len(ITEM.findall(text)) > 1


def has_code(text: str) -> bool:
    """Whether a block of code begins in a text."""
    return FENCE in text


def is_json(text: str) -> bool:
    """Whether a text begins as JSON does."""
    return bool(JSON.match(text))


def has_tags(text: str) -> bool:
    """Whether there are two tags in a text, as HTML and XML have them."""
    return len(TAG.findall(text)) > 1


def has_address(text: str) -> bool:
    """Whether a text names a place on the web."""
    return bool(ADDRESS.search(text))


def has_markdown(text: str) -> bool:
    """Whether there is a heading or bold type in a text."""
    return bool(MARKDOWN.search(text))


def has_short_lines(text: str) -> bool:
    """Whether a text is three lines or more as a poem has them: none over 60 characters, half over 10; no list."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lengths = sorted(map(len, lines))
    if len(lines) < LEAST_LINES or has_list(text) or has_code(text):
        return False
    return lengths[-1] <= LONG and lengths[len(lines) // 2] >= SHORT


def has_no_capitals(text: str) -> bool:
    """Whether there is no capital among at least ten letters of a script that has them."""
    cased = [sign for sign in text if sign.isupper() or sign.islower()]
    return len(cased) >= LEAST_LETTERS and not any(map(str.isupper, cased))


def has_emoji(text: str) -> bool:
    """Whether a picture or symbol stands in a text."""
    return bool(EMOJI.search(text))


def ends_with_question(text: str) -> bool:
    """Whether a text ends with a question mark, of any script."""
    return text.rstrip().endswith(("?", "？", "؟"))


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "a list": has_list,
    "with a block of code": has_code,
    "written as JSON": is_json,
    "with HTML or XML tags": has_tags,
    "with a web address": has_address,
    "with Markdown headings or bold type": has_markdown,
    "in short lines, as verse": has_short_lines,
    "without capital letters": has_no_capitals,
    "with an emoji": has_emoji,
    "with a question at the end": ends_with_question,
}
"""What an answer is said to be, or to come with, and the test of its text."""
