"""FOR THE READER: results in; tables, figures and pages out; it computes nothing new."""

from aftertune.report.contents import ReportContents
from aftertune.report.instance import write_instance
from aftertune.report.lineage import LineageContents, write_lineage
from aftertune.report.page import write_report

__all__ = ["LineageContents", "ReportContents", "write_instance", "write_lineage", "write_report"]
