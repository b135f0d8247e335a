"""Checks whether this machine and folder have what a run needs, and how to fix what is missing."""

from nodulenet.doctor.examination import examine
from nodulenet.doctor.finding import Check

__all__ = ["Check", "examine"]
