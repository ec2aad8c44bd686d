"""What does a server take of a request?  Learned from its refusals: the newest models fix sampling and rename limits.

1. An error that names a parameter as one it does not take: that one is left out, or sent under its newer name.
2. An error that names none: the response format, the one that servers most often lack.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import openai

from aftertune.explainers.annotation.categories import RESPONSE_FORMATS
from aftertune.explainers.annotation.request import MAX_TOKENS, TOP_P, Request

FORMAT = "response_format"
# Models that want the newer name count thinking that nobody sees towards it; they pay for what they use only.
MAX_TOKENS_WITH_THINKING = 8 * MAX_TOKENS
# In the order in which they are given up: where a server takes one of two, the temperature matters more than top-p.
REFUSED = ("max_tokens", "max_completion_tokens", "top_p", "temperature", FORMAT)
SAYS_SO = re.compile(
    r"support|unexpected|unknown|unrecogni[sz]ed|not (?:be |both )?(?:allowed|permitted|specified)|cannot both|instead"
    r"|deprecated|extra",
    re.IGNORECASE,
)


def parameters(request: Request, left_out: Collection[str]) -> dict[str, Any]:
    """How the answer to ``request`` is to be made, less what is ``left_out``."""
    every = {
        "temperature": request.temperature,
        "top_p": TOP_P,
        "max_completion_tokens" if "max_tokens" in left_out else "max_tokens": (
            MAX_TOKENS_WITH_THINKING if "max_tokens" in left_out else MAX_TOKENS
        ),
        FORMAT: RESPONSE_FORMATS[request.step],
    }
    return {name: value for name, value in every.items() if name not in left_out}


def what_was_said(error: openai.OpenAIError) -> str:
    """The error with what the server said of it, also where that is not in OpenAI's form, on one line."""
    text, body = str(error), getattr(error, "body", None)
    if body and " - " not in text:
        text += f" - {body.get('detail', body) if isinstance(body, dict) else body}"
    return " ".join(text.split())


def refused_parameter(error: openai.APIStatusError, sent: Mapping[str, Any]) -> str | None:
    """Which of the parameters ``sent`` is to be left out after ``error``; None where none can help."""
    text = what_was_said(error)
    named = [name for name in REFUSED if name in sent and re.search(rf"\b{name}\b", text)]
    if error.param in named:
        named = [str(error.param)]
    if named and SAYS_SO.search(text):
        return named[0]
    return FORMAT if FORMAT in sent else None
