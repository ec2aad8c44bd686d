"""What an annotator is asked, how often, and at most how much."""

from dataclasses import dataclass
from pathlib import Path

from aftertune.errors import AnnotationError

STRUCTURED = ("auto", "on", "off")


@dataclass(frozen=True)
class AnnotationPlan:
    """How concepts are annotated (appendix D.1).

    ``repeats``: how often each concept is described, at temperature 0 in the first repeat and 1 in the others.
    ``components``: only the first so many of each network; None for all that were read. ``concurrency``: most requests
    at a time. ``max_requests``: most requests that one call sends (another try of one that failed is not counted); None
    for no limit. ``templates``: a folder whose description.txt, tasks.txt, level.txt or cases.json are used in place of
    ours. ``structured``: whether the server is asked to hold answers to a JSON schema: "auto" (until it refuses), "on"
    or "off".

    Raises `AnnotationError` if a value is not allowed.
    """

    repeats: int = 5
    components: int | None = None
    concurrency: int = 8
    max_requests: int | None = None
    templates: str | Path | None = None
    structured: str = "auto"

    def __post_init__(self) -> None:
        for name in ("repeats", "components", "concurrency", "max_requests"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise AnnotationError(f"{name} is {value!r}. Give a whole number of at least 1.")
        if self.repeats is None or self.concurrency is None:
            raise AnnotationError("repeats and concurrency can't be None. Give whole numbers of at least 1.")
        if self.structured not in STRUCTURED:
            raise AnnotationError(f"structured is {self.structured!r}. Allowed: {', '.join(STRUCTURED)}.")
