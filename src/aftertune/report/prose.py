"""The prose of a page as Markdown: the few elements that paragraphs on methods consist of."""

import re
from html import unescape


def markdown_of(html: str) -> str:
    """Paragraphs, lists and bold type as Markdown; sub and sup, which it has no sign for, stay as they are."""
    text = re.sub(r"\s+", " ", html)
    text = re.sub(r"</?strong>", "**", text)
    text = re.sub(r"</?code>", "`", text)
    text = re.sub(r" ?<li[^>]*> ?", "\n- ", text)
    text = re.sub(r" ?</?(p|ul)> ?", "\n\n", text)
    text = re.sub(r"<(?!/?(sub|sup)>)[^>]*>", "", text)
    text = re.sub(r"&(?!lt;|gt;)\S+?;", lambda entity: unescape(entity[0]), text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()
