"""Aftertune: what did tuning change inside this language model?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aftertune.annotation import AnnotationPlan, annotate
    from aftertune.attribution import Plan, attribute, attribute_all
    from aftertune.comparison.concept_change import ConceptChange
    from aftertune.comparison.concepts import compare_concepts
    from aftertune.comparison.head_change import HeadChange
    from aftertune.comparison.heads import compare_heads
    from aftertune.comparison.lineage import Lineage
    from aftertune.concepts import ConceptPlan, ConceptStudy, read_concepts
    from aftertune.errors import (
        AftertuneError,
        AnnotationError,
        AttributionError,
        CheckpointError,
        PromptError,
        RunError,
        WordError,
    )
    from aftertune.heads import HeadPlan, HeadStudy, read_heads
    from aftertune.labelling import export_labels, import_labels, label, open_labels
    from aftertune.models import Checkpoint, load
    from aftertune.prompts import Message, Prompt, read_prompts
    from aftertune.results.attribution import Attribution
    from aftertune.results.concepts import ConceptReading
    from aftertune.results.heads import HeadReading
    from aftertune.results.maps import SalientMap
    from aftertune.saved import open_annotations, open_comparison, open_concepts, open_heads, write_report
    from aftertune.study import compare, score
    from aftertune.subject import Subject
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
    "aftertune.annotation": ("AnnotationPlan", "annotate"),
    "aftertune.attribution": ("Plan", "attribute", "attribute_all"),
    "aftertune.comparison.concept_change": ("ConceptChange",),
    "aftertune.comparison.concepts": ("compare_concepts",),
    "aftertune.comparison.head_change": ("HeadChange",),
    "aftertune.comparison.heads": ("compare_heads",),
    "aftertune.concepts": ("ConceptPlan", "ConceptStudy", "read_concepts"),
    "aftertune.comparison.lineage": ("Lineage",),
    "aftertune.errors": (
        *("AftertuneError", "AnnotationError", "AttributionError", "CheckpointError"),
        *("PromptError", "RunError", "WordError"),
    ),
    "aftertune.heads": ("HeadPlan", "HeadStudy", "read_heads"),
    "aftertune.labelling": ("export_labels", "import_labels", "label", "open_labels"),
    "aftertune.models": ("Checkpoint", "load"),
    "aftertune.prompts": ("Message", "Prompt", "read_prompts"),
    "aftertune.results.attribution": ("Attribution",),
    "aftertune.results.concepts": ("ConceptReading",),
    "aftertune.results.heads": ("HeadReading",),
    "aftertune.results.maps": ("SalientMap",),
    "aftertune.saved": ("open_annotations", "open_comparison", "open_concepts", "open_heads", "write_report"),
    "aftertune.study": ("compare", "score"),
    "aftertune.subject": ("Subject",),
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
