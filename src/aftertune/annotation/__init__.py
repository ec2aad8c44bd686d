"""GLOBAL: what do the words of a concept have in common?  Asked of chat models, word vectors, or people (D.1)."""

from aftertune.annotation.annotate import annotate
from aftertune.annotation.people import export_concepts, import_annotations
from aftertune.annotation.plan import AnnotationPlan

__all__ = ["AnnotationPlan", "annotate", "export_concepts", "import_annotations"]
