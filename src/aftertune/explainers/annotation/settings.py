"""What an annotator is asked, how often, and at most how much."""

from pathlib import Path
from typing import ClassVar, Literal

from aftertune.errors import AftertuneError, AnnotationError
from aftertune.explainers.settings import Settings, setting


class AnnotationSettings(Settings):
    """How components are annotated (appendix D.1); raises `AnnotationError` if a value is not allowed."""

    error: ClassVar[type[AftertuneError]] = AnnotationError

    repeats: int = setting(
        5,
        "How often each component is described, at temperature 0 in the first repeat and 1 in the others.",
        scope="units",
        ge=1,
        strict=True,
    )
    components: int | None = setting(
        None, "Only the first so many components of each feed-forward layer.", scope="units", ge=1, strict=True
    )
    concurrency: int = setting(8, "Most requests at a time.", scope="units", ge=1, strict=True)
    max_requests: int | None = setting(
        None,
        "Most requests that one call sends, retries not counted; the next call continues.",
        scope="units",
        ge=1,
        strict=True,
    )
    templates: str | Path | None = setting(
        None, "Folder whose description.txt, tasks.txt, level.txt, tuning.txt or cases.json replace ours."
    )
    structured: Literal["auto", "on", "off"] = setting(
        "auto", "Whether the server holds answers to a JSON schema (auto: until it refuses)"
    )
