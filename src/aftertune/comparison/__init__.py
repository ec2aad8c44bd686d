"""WHAT TUNING CHANGED: maps or readings of two models in; tests, intervals, effect sizes and findings out."""

from aftertune.comparison.annotated import compare_annotations
from aftertune.comparison.annotation_change import AnnotationChange
from aftertune.comparison.annotation_findings import describe_annotations
from aftertune.comparison.annotation_rows import AgreementRow, CategoryRow, Figure3Row, Figure7Row, UnparsedRow
from aftertune.comparison.change import Comparison, compare_maps
from aftertune.comparison.concept_change import ConceptChange
from aftertune.comparison.concept_findings import describe_concepts
from aftertune.comparison.concept_rows import ChanceRow, Figure8Row, RotationRow, RotationTrend
from aftertune.comparison.concepts import compare_concepts
from aftertune.comparison.findings import describe
from aftertune.comparison.head_change import HeadChange
from aftertune.comparison.head_findings import describe_heads
from aftertune.comparison.head_rows import DepthTrend, Figure2Row, Table3Row
from aftertune.comparison.heads import compare_heads
from aftertune.comparison.position import figure6
from aftertune.comparison.rows import Figure6Row, Finding, InstanceRow, Table1Row, Table2Row
from aftertune.comparison.summary import summarise
from aftertune.comparison.tables import table1, table2
from aftertune.comparison.verbs import INSTRUCTION_VERBS, frequent_verbs, read_verbs

__all__ = [
    "INSTRUCTION_VERBS",
    "AgreementRow",
    "AnnotationChange",
    "CategoryRow",
    "ChanceRow",
    "Comparison",
    "ConceptChange",
    "DepthTrend",
    "Figure2Row",
    "Figure3Row",
    "Figure6Row",
    "Figure7Row",
    "Figure8Row",
    "Finding",
    "HeadChange",
    "InstanceRow",
    "RotationRow",
    "RotationTrend",
    "Table1Row",
    "Table2Row",
    "Table3Row",
    "UnparsedRow",
    "compare_annotations",
    "compare_concepts",
    "compare_heads",
    "compare_maps",
    "describe",
    "describe_annotations",
    "describe_concepts",
    "describe_heads",
    "figure6",
    "frequent_verbs",
    "read_verbs",
    "summarise",
    "table1",
    "table2",
]
