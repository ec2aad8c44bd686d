"""Aftertune: what did tuning change inside this language model?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aftertune.errors import (
        AftertuneError,
        AnnotationError,
        AttributionError,
        CheckpointError,
        PromptError,
        RunError,
        WordError,
    )
    from aftertune.explainers.annotation.annotate import annotate
    from aftertune.explainers.annotation.settings import AnnotationPlan
    from aftertune.explainers.attribution.attribute import attribute, attribute_all
    from aftertune.explainers.attribution.maps import SalientMap
    from aftertune.explainers.attribution.measure import Plan
    from aftertune.explainers.attribution.result import Attribution
    from aftertune.explainers.concepts.change import ConceptChange
    from aftertune.explainers.concepts.compare import compare_concepts
    from aftertune.explainers.concepts.measure import read_concepts
    from aftertune.explainers.concepts.result import ConceptReading
    from aftertune.explainers.concepts.settings import ConceptPlan, ConceptStudy
    from aftertune.explainers.heads.change import HeadChange
    from aftertune.explainers.heads.compare import compare_heads
    from aftertune.explainers.heads.measure import read_heads
    from aftertune.explainers.heads.result import HeadReading
    from aftertune.explainers.heads.settings import HeadPlan, HeadStudy
    from aftertune.labelling import export_labels, import_labels, label, open_labels
    from aftertune.models import Checkpoint, load
    from aftertune.models.subject import Subject
    from aftertune.prompts import Message, Prompt, read_prompts
    from aftertune.study.saved import open_annotations, open_comparison, open_concepts, open_heads, write_report
    from aftertune.study.stages import Lineage
    from aftertune.study.study import compare, score
    from aftertune.words import Vectors, Words, load_vectors, load_words

__version__ = "0.1.0"
__all__ = [
    "AftertuneError",
    "AnnotationError",
    "AnnotationPlan",
    "Attribution",
    "AttributionError",
    "Checkpoint",
    "CheckpointError",
    "ConceptChange",
    "ConceptPlan",
    "ConceptReading",
    "ConceptStudy",
    "HeadChange",
    "HeadPlan",
    "HeadReading",
    "HeadStudy",
    "Lineage",
    "Message",
    "Plan",
    "Prompt",
    "PromptError",
    "RunError",
    "SalientMap",
    "Subject",
    "Vectors",
    "WordError",
    "Words",
    "annotate",
    "attribute",
    "attribute_all",
    "compare",
    "compare_concepts",
    "compare_heads",
    "export_labels",
    "import_labels",
    "label",
    "load",
    "load_vectors",
    "load_words",
    "open_annotations",
    "open_comparison",
    "open_concepts",
    "open_heads",
    "open_labels",
    "read_concepts",
    "read_heads",
    "read_prompts",
    "score",
    "write_report",
]

# Loaded when first asked for, so that `import aftertune` and `aftertune --help` do not wait for torch.
_HOMES = {
    "aftertune.explainers.annotation": ("AnnotationPlan", "annotate"),
    "aftertune.explainers.attribution": ("Plan", "attribute", "attribute_all"),
    "aftertune.explainers.concepts.change": ("ConceptChange",),
    "aftertune.explainers.concepts.compare": ("compare_concepts",),
    "aftertune.explainers.heads.change": ("HeadChange",),
    "aftertune.explainers.heads.compare": ("compare_heads",),
    "aftertune.explainers.concepts": ("ConceptPlan", "ConceptStudy", "read_concepts"),
    "aftertune.study.stages": ("Lineage",),
    "aftertune.errors": (
        *("AftertuneError", "AnnotationError", "AttributionError", "CheckpointError"),
        *("PromptError", "RunError", "WordError"),
    ),
    "aftertune.explainers.heads": ("HeadPlan", "HeadStudy", "read_heads"),
    "aftertune.labelling": ("export_labels", "import_labels", "label", "open_labels"),
    "aftertune.models": ("Checkpoint", "load"),
    "aftertune.prompts": ("Message", "Prompt", "read_prompts"),
    "aftertune.explainers.attribution.result": ("Attribution",),
    "aftertune.explainers.concepts.result": ("ConceptReading",),
    "aftertune.explainers.heads.result": ("HeadReading",),
    "aftertune.explainers.attribution.maps": ("SalientMap",),
    "aftertune.study.saved": ("open_annotations", "open_comparison", "open_concepts", "open_heads", "write_report"),
    "aftertune.study.study": ("compare", "score"),
    "aftertune.models.subject": ("Subject",),
    "aftertune.words": ("Vectors", "Words", "load_vectors", "load_words"),
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
