"""The embedded cohort: real radiologists' outlines in synthetic chest CT."""

from nodulenet.demo.cohort import DemoScan, demo_reading, demo_scans, window_geometry
from nodulenet.demo.scan import render_demo_scan

__all__ = ["DemoScan", "demo_reading", "demo_scans", "render_demo_scan", "window_geometry"]
