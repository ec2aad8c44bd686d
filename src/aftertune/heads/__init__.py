"""GLOBAL: which word pairs does each attention head connect?"""

from aftertune.heads.plan import HeadPlan, HeadStudy
from aftertune.heads.read import read_heads

__all__ = ["HeadPlan", "HeadStudy", "read_heads"]
