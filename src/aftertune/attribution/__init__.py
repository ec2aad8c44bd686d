"""LOCAL: which prompt tokens does each response token depend on?"""

from aftertune.attribution.routes import attribute

__all__ = ["attribute"]
