"""Aftertune: what did tuning change inside this language model?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aftertune.attribution import Plan, attribute, attribute_all
    from aftertune.errors import AftertuneError, AttributionError, CheckpointError, PromptError, RunError
    from aftertune.models import Checkpoint, load
    from aftertune.prompts import Message, Prompt, read_prompts
    from aftertune.results.attribution import Attribution
    from aftertune.results.maps import SalientMap
    from aftertune.study import compare, score, write_report
    from aftertune.subject import Subject

__version__ = "0.1.0"
__all__ = [
    "AftertuneError",
    "Attribution",
    "AttributionError",
    "Checkpoint",
    "CheckpointError",
    "Message",
    "Plan",
    "Prompt",
    "PromptError",
    "RunError",
    "SalientMap",
    "Subject",
    "attribute",
    "attribute_all",
    "compare",
    "load",
    "read_prompts",
    "score",
    "write_report",
]

# Loaded when first asked for, so that `import aftertune` and `aftertune --help` do not wait for torch.
_HOMES = {
    "aftertune.attribution": ("Plan", "attribute", "attribute_all"),
    "aftertune.errors": ("AftertuneError", "AttributionError", "CheckpointError", "PromptError", "RunError"),
    "aftertune.models": ("Checkpoint", "load"),
    "aftertune.prompts": ("Message", "Prompt", "read_prompts"),
    "aftertune.results.attribution": ("Attribution",),
    "aftertune.results.maps": ("SalientMap",),
    "aftertune.study": ("compare", "score", "write_report"),
    "aftertune.subject": ("Subject",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'aftertune' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
