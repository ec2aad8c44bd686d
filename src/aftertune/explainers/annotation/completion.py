"""What does a chat completion say?  Its text: an answer that was paid for is not lost for an oddity around it.

1. Text may be a list of parts, or JSON that a server has parsed already.
2. Counts of tokens, reasons and refusals that are none are passed over.
"""

import json
from typing import Any

from aftertune.explainers.annotation.request import Reply
from aftertune.models.served.checked import UnusableAnswerError, count_or_none, mapping, text, text_or_none


def read_completion(found: Any) -> Reply:
    """What was answered; raises `UnusableAnswerError` where there is no message."""
    choices = mapping(found).get("choices")
    choice = mapping(choices[0]) if isinstance(choices, list) and choices else {}
    message, usage = mapping(choice.get("message")), mapping(mapping(found).get("usage"))
    if not message:
        raise UnusableAnswerError("no choices")
    return reply_of(
        {
            "text": message.get("content"),
            "finish": choice.get("finish_reason"),
            "refusal": message.get("refusal"),
            "input_tokens": usage.get("prompt_tokens"),
            "output_tokens": usage.get("completion_tokens"),
        }
    )


def reply_of(row: dict[str, Any]) -> Reply:
    """A reply from what a server says of it, or from what was kept of it."""
    left_out = row.get("left_out")
    return Reply(
        _text_of(row.get("text")),
        text_or_none(row.get("finish")) or "stop",
        text_or_none(row.get("refusal")),
        count_or_none(row.get("input_tokens")) or 0,
        count_or_none(row.get("output_tokens")) or 0,
        tuple(text(one) for one in left_out if isinstance(one, str)) if isinstance(left_out, list) else (),
    )


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(_part(one) for one in content)
    written = _part(content)
    return written if written or content in (None, "") else text(json.dumps(content, ensure_ascii=False))


def _part(content: Any) -> str:
    return text_or_none(mapping(content).get("text", content)) or ""
