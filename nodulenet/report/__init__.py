"""One page that shows a researcher how the run of a cohort went."""

from nodulenet.report.page import write_report
from nodulenet.report.sources import About, Sources

__all__ = ["About", "Sources", "write_report"]
