"""Outlines written out as masks, one file per reader."""

from pathlib import Path

import numpy as np

from nodulenet.annotations import SliceGeometry, mark_mask, read_lidc_xml
from nodulenet.imaging import Volume, read_lidc_grid, write_volume


def write_label_maps(
    xml: Path, ct: Path, series: str, folder: Path, suffix: str = ".nii.gz"
) -> list[Path]:
    """Each reader's outlines of a scan as a file of labels, in the order of the marks."""
    grid = read_lidc_grid(ct, series)
    geometry = SliceGeometry(grid.slice_z(), grid.array.shape[1:])
    paths = []
    for number, session in enumerate(read_lidc_xml(xml).sessions, 1):
        labels, label = np.zeros(grid.array.shape, np.uint8), 0
        for mark in session.marks:
            if mark.kind == "nodule":
                label += 1
                mask = mark_mask(mark, geometry)
                assert not labels[mask.box][mask.mask].any(), "two marks of one reader overlap"
                labels[mask.box][mask.mask] = label
        paths.append(folder / f"rad{number}{suffix}")
        write_volume(Volume(labels, grid.affine), paths[-1])
    return paths
