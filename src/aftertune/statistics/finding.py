"""One thing that a comparison shows, or does not show."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that the comparison shows, or does not show, in words and numbers.

    ``significant`` says whether its test shows a difference, None where nothing was tested. ``evidence`` holds the
    numbers behind the sentence, ``prompts`` those to look at, by data set and id.
    """

    headline: str
    sentence: str
    significant: bool | None
    evidence: dict[str, Any] = field(default_factory=dict)
    prompts: tuple[tuple[str, str], ...] = ()
