"""From a saved run to its comparison and report, without torch."""

from aftertune.study.saved.asked import Asked, Verbs, read_asked
from aftertune.study.saved.measured import remember_names
from aftertune.study.saved.opened import open_annotations, open_comparison, open_concepts, open_heads
from aftertune.study.saved.write import make_report, write_report

__all__ = [
    "Asked",
    "Verbs",
    "make_report",
    "open_annotations",
    "open_comparison",
    "open_concepts",
    "open_heads",
    "read_asked",
    "remember_names",
    "write_report",
]
