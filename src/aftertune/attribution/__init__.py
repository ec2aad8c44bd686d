"""LOCAL: which prompt tokens does each response token depend on?"""

from aftertune.attribution.attribute import attribute

__all__ = ["attribute"]
