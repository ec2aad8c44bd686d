"""LOCAL: which prompt tokens does each response token depend on?"""

from aftertune.attribution.ask import attribute, attribute_all

__all__ = ["attribute", "attribute_all"]
