"""The generator of synthetic chest CT around the outlines of LIDC-IDRI's readers."""

from nodulenet.phantom.files import ScanFiles
from nodulenet.phantom.scan import render_scan

__all__ = ["ScanFiles", "render_scan"]
