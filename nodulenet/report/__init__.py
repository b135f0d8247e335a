"""One page that tells a researcher how a cohort's run went."""

from nodulenet.report.page import write_report
from nodulenet.report.sources import About, Sources

__all__ = ["About", "Sources", "write_report"]
