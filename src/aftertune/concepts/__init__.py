"""GLOBAL: which concepts do the feed-forward layers write?"""

from aftertune.concepts.plan import ConceptPlan, ConceptStudy
from aftertune.concepts.read import read_concepts

__all__ = ["ConceptPlan", "ConceptStudy", "read_concepts"]
