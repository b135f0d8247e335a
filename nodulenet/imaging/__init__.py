"""Scans: reading, lungs, resampling, preprocessing, and nodules on their grids."""

from nodulenet.imaging.checks import check_hu, misfit
from nodulenet.imaging.dicom_series import read_scanner
from nodulenet.imaging.drawn_masks import drawn_groups, is_drawn, require_same_frame
from nodulenet.imaging.findings import findings_table, unsized_labels
from nodulenet.imaging.grid import crop_offset, target_grid
from nodulenet.imaging.lungs import segment_lungs
from nodulenet.imaging.masks import label_volume, resample_mask, restore_mask
from nodulenet.imaging.nodule_store import read_nodules, read_readers, write_nodules
from nodulenet.imaging.orientation import standard
from nodulenet.imaging.placement import (
    cut_listed,
    lidc_grid,
    listed_findings,
    listed_groups,
    read_lidc_grid,
    to_standard_grid,
)
from nodulenet.imaging.preprocess import preprocess
from nodulenet.imaging.readers import read_geometry, read_volume
from nodulenet.imaging.series import FoundSeries, find_series
from nodulenet.imaging.store import write_scan, write_volume
from nodulenet.imaging.volume import Volume, blank

__all__ = [
    "FoundSeries",
    "Volume",
    "blank",
    "check_hu",
    "crop_offset",
    "cut_listed",
    "drawn_groups",
    "find_series",
    "findings_table",
    "is_drawn",
    "label_volume",
    "lidc_grid",
    "listed_findings",
    "listed_groups",
    "misfit",
    "preprocess",
    "read_geometry",
    "read_lidc_grid",
    "read_nodules",
    "read_readers",
    "read_scanner",
    "read_volume",
    "require_same_frame",
    "resample_mask",
    "restore_mask",
    "segment_lungs",
    "standard",
    "target_grid",
    "to_standard_grid",
    "unsized_labels",
    "write_nodules",
    "write_scan",
    "write_volume",
]
