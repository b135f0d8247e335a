"""The embedded cohort: real radiologists' outlines in synthetic chest CT."""

from nodulenet.demo.scan import render_demo_scan

__all__ = ["render_demo_scan"]
