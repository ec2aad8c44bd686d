"""People as judges: which words are the instruction, and how helpful is each response?  (Paper, appendix B.1.)"""

from aftertune.labelling.exchange import export_labels, import_labels
from aftertune.labelling.label import label
from aftertune.labelling.store import open_labels

__all__ = ["export_labels", "import_labels", "label", "open_labels"]
