"""Aftertune: what did tuning change inside this language model?"""

from typing import TYPE_CHECKING

from aftertune.lazy_exports import lazy_face

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
    from aftertune.explainers.annotation.change import AnnotationChange
    from aftertune.explainers.annotation.naming.result import NamingChange
    from aftertune.explainers.annotation.settings import AnnotationSettings
    from aftertune.explainers.attribution.attribute import attribute, attribute_all, attribute_difference
    from aftertune.explainers.attribution.change import AttributionChange
    from aftertune.explainers.attribution.difference import AttributionDifference
    from aftertune.explainers.attribution.result import Attribution, SalientMap
    from aftertune.explainers.attribution.settings import AttributionSettings
    from aftertune.explainers.concepts.change import ConceptChange, compare_concepts
    from aftertune.explainers.concepts.measure import read_concepts
    from aftertune.explainers.concepts.result import ConceptReading, open_concepts
    from aftertune.explainers.concepts.settings import ConceptSettings
    from aftertune.explainers.explainer import Explainer, Work
    from aftertune.explainers.heads.change import HeadChange
    from aftertune.explainers.heads.compare import compare_heads
    from aftertune.explainers.heads.measure import read_heads
    from aftertune.explainers.heads.result import HeadReading, open_heads
    from aftertune.explainers.heads.settings import HeadSettings
    from aftertune.explainers.location.change import LocationChange
    from aftertune.explainers.location.settings import LocationSettings
    from aftertune.explainers.outputs.change import OutputChange
    from aftertune.explainers.outputs.settings import OutputSettings
    from aftertune.labelling import export_labels, import_labels, label, open_labels
    from aftertune.models.checkpoint import Checkpoint, load
    from aftertune.models.subject import Subject
    from aftertune.prompts import Message, Prompt, read_prompts
    from aftertune.study.annotate import annotate, name_tuning, open_annotations
    from aftertune.study.compare import compare, compare_stages, score
    from aftertune.study.comparison import Comparison
    from aftertune.study.engine.ray_engine import RayEngine
    from aftertune.study.saved import open_comparison, write_report
    from aftertune.study.stages import Stages
    from aftertune.study.study import Study
    from aftertune.words import Vectors, Words, load_vectors, load_words

__version__ = "0.1.0"
__all__ = [
    "AftertuneError",
    "AnnotationChange",
    "AnnotationError",
    "AnnotationSettings",
    "Attribution",
    "AttributionChange",
    "AttributionDifference",
    "AttributionError",
    "AttributionSettings",
    "Checkpoint",
    "CheckpointError",
    "Comparison",
    "ConceptChange",
    "ConceptReading",
    "ConceptSettings",
    "Explainer",
    "HeadChange",
    "HeadReading",
    "HeadSettings",
    "LocationChange",
    "LocationSettings",
    "Message",
    "NamingChange",
    "OutputChange",
    "OutputSettings",
    "Prompt",
    "PromptError",
    "RayEngine",
    "RunError",
    "SalientMap",
    "Stages",
    "Study",
    "Subject",
    "Vectors",
    "WordError",
    "Words",
    "Work",
    "annotate",
    "attribute",
    "attribute_all",
    "attribute_difference",
    "compare",
    "compare_concepts",
    "compare_heads",
    "compare_stages",
    "export_labels",
    "import_labels",
    "label",
    "load",
    "load_vectors",
    "load_words",
    "name_tuning",
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
    "errors": (
        *("AftertuneError", "AnnotationError", "AttributionError", "CheckpointError"),
        *("PromptError", "RunError", "WordError"),
    ),
    "explainers.annotation.change": ("AnnotationChange",),
    "explainers.annotation.naming.result": ("NamingChange",),
    "explainers.annotation.settings": ("AnnotationSettings",),
    "explainers.attribution.attribute": ("attribute", "attribute_all", "attribute_difference"),
    "explainers.attribution.change": ("AttributionChange",),
    "explainers.attribution.difference": ("AttributionDifference",),
    "explainers.attribution.result": ("Attribution", "SalientMap"),
    "explainers.attribution.settings": ("AttributionSettings",),
    "explainers.concepts.change": ("ConceptChange", "compare_concepts"),
    "explainers.concepts.measure": ("read_concepts",),
    "explainers.concepts.result": ("ConceptReading", "open_concepts"),
    "explainers.concepts.settings": ("ConceptSettings",),
    "explainers.explainer": ("Explainer", "Work"),
    "explainers.heads.change": ("HeadChange",),
    "explainers.heads.compare": ("compare_heads",),
    "explainers.heads.measure": ("read_heads",),
    "explainers.heads.result": ("HeadReading", "open_heads"),
    "explainers.heads.settings": ("HeadSettings",),
    "explainers.location.change": ("LocationChange",),
    "explainers.location.settings": ("LocationSettings",),
    "explainers.outputs.change": ("OutputChange",),
    "explainers.outputs.settings": ("OutputSettings",),
    "labelling": ("export_labels", "import_labels", "label", "open_labels"),
    "models.checkpoint": ("Checkpoint", "load"),
    "models.subject": ("Subject",),
    "prompts": ("Message", "Prompt", "read_prompts"),
    "study.annotate": ("annotate", "name_tuning", "open_annotations"),
    "study.compare": ("compare", "compare_stages", "score"),
    "study.comparison": ("Comparison",),
    "study.engine.ray_engine": ("RayEngine",),
    "study.saved": ("open_comparison", "write_report"),
    "study.stages": ("Stages",),
    "study.study": ("Study",),
    "words": ("Vectors", "Words", "load_vectors", "load_words"),
}
__getattr__ = lazy_face(__name__, _HOMES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
