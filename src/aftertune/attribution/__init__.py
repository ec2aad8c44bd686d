"""LOCAL: which prompt tokens does each response token depend on?"""

from aftertune.attribution.ask import attribute, attribute_all
from aftertune.attribution.measure import Plan

__all__ = ["Plan", "attribute", "attribute_all"]
