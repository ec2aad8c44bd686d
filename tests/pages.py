"""What the tests of the documentation share: the pages, and what a page is made of."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = [str(page.relative_to(ROOT)) for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))]

RUNNABLE = re.compile(r"<!-- runnable -->\n```python\n(.*?)```", re.DOTALL)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def read(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text("utf-8")


def pages_with(pattern: re.Pattern[str]) -> list[str]:
    """The pages in which a pattern occurs."""
    return [name for name in NAMES if pattern.search(read(name))]


def blocks_of(name: str, *languages: str) -> list[str]:
    """The code blocks of a page in any of the languages."""
    return [code for language, code in FENCE.findall(read(name)) if language in languages]
