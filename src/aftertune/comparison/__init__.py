"""WHAT TUNING CHANGED: salient maps of two models in; tests, intervals, effect sizes and findings out."""

from aftertune.comparison.change import Comparison, compare_maps
from aftertune.comparison.findings import describe
from aftertune.comparison.position import figure6
from aftertune.comparison.rows import Figure6Row, Finding, InstanceRow, Table1Row, Table2Row
from aftertune.comparison.tables import table1, table2

__all__ = [
    "Comparison",
    "Figure6Row",
    "Finding",
    "InstanceRow",
    "Table1Row",
    "Table2Row",
    "compare_maps",
    "describe",
    "figure6",
    "table1",
    "table2",
]
