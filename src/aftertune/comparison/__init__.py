"""WHAT TUNING CHANGED: maps or head readings of two models in; tests, intervals, effect sizes and findings out."""

from aftertune.comparison.change import Comparison, compare_maps
from aftertune.comparison.findings import describe
from aftertune.comparison.head_change import HeadChange
from aftertune.comparison.head_findings import describe_heads
from aftertune.comparison.head_rows import DepthTrend, Figure2Row, Table3Row
from aftertune.comparison.heads import compare_heads
from aftertune.comparison.position import figure6
from aftertune.comparison.rows import Figure6Row, Finding, InstanceRow, Table1Row, Table2Row
from aftertune.comparison.tables import table1, table2
from aftertune.comparison.verbs import INSTRUCTION_VERBS, frequent_verbs, read_verbs

__all__ = [
    "INSTRUCTION_VERBS",
    "Comparison",
    "DepthTrend",
    "Figure2Row",
    "Figure6Row",
    "Finding",
    "HeadChange",
    "InstanceRow",
    "Table1Row",
    "Table2Row",
    "Table3Row",
    "compare_heads",
    "compare_maps",
    "describe",
    "describe_heads",
    "figure6",
    "frequent_verbs",
    "read_verbs",
    "table1",
    "table2",
]
