"""The findings of a scan as a table in world mm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations import Group, Mark, Reading, point_index
from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.imaging.drawn_masks import drawn_point
from nodulenet.imaging.grid import PUBLISHED, target_grid
from nodulenet.imaging.masks import resample_mask
from nodulenet.imaging.volume import Volume, blank
from nodulenet.settings import PreprocessSettings

CENTROID = ("centroidX", "centroidY", "centroidZ")
COLUMNS = [
    *("series_uid", "finding", "kind", "label", "marks", "readers", "level"),
    *POSITION,
    "diameter_mm",
    *CENTROID,
    *("equivalent_diameter_mm", "volume_mm3"),
    *("z", "y", "x", "d", "h", "w"),
]
OUTLINED = ("nodule", "below_level")
UNKNOWN = -1.0


def findings_table(
    reading: Reading,
    groups: Sequence[Group],
    place: Volume,
    level: int,
    preprocessing: PreprocessSettings = PUBLISHED,
) -> pd.DataFrame:
    """One row per finding of a scan: all groups in order, then small nodules, then non-nodules.

    place: the scan's grid, which is that of reading and groups, in standard orientation. Groups of
    at least `level` are of kind "nodule", labelled 1, 2, ...; the others "below_level". coord and
    diameter_mm (mm, LPS): centre and largest side of the mask's box in the 1 mm grid of
    `preprocessing`, or in the scan's own where the mask vanishes there. centroid, volume and
    volume-equivalent diameter: of the mask in the scan's grid, as is the box z, y, x, d, h, w
    (voxel; first index and size). A point has its own position (of a drawn non-nodule, the centroid
    of its voxels), rounded to a voxel in z, y, x, no size, and -1 for its diameters.
    """
    grid_affine, _ = target_grid(place.affine, place.array.shape, preprocessing)
    rows, label = [], 0
    for group in groups:
        wanted = group.level >= level
        label += wanted
        kind = "nodule" if wanted else "below_level"
        row = _group_row(group, place, grid_affine)
        rows.append({"kind": kind, "label": label if wanted else 0, **row})
    for kind in ("small", "non_nodule"):
        for session in reading.sessions:
            for mark in session.marks:
                if mark.kind == kind:
                    rows.append({"kind": kind, "label": 0, **_point_row(mark, place)})
    for number, row in enumerate(rows, 1):
        row |= {"series_uid": reading.series_uid, "finding": number}
    return pd.DataFrame(rows, columns=COLUMNS)


def unsized_labels(findings: pd.DataFrame) -> list[int]:
    """The labels of nodules whose size nobody gave, so that it cannot be learned."""
    unknown = (findings["label"] > 0) & (findings["diameter_mm"] < 0)
    return [int(label) for label in findings.loc[unknown, "label"]]


def _group_row(group: Group, place: Volume, grid_affine: NDArray[np.float64]) -> dict[str, Any]:
    mask, offset = group.mask, group.offset
    measured, grid = resample_mask(group.cropped, place.affine, grid_affine), blank(grid_affine)
    if not measured.mask.size:
        measured, grid = group.cropped, place
    sides = np.array(measured.mask.shape)
    centre = grid.to_world(np.array(measured.offset) + (sides - 1) / 2)
    centroid = place.to_world(np.argwhere(mask).mean(axis=0) + offset)
    volume = float(mask.sum() * place.voxel_mm3)
    return {
        "marks": len(group.members),
        "readers": group.readers,
        "level": group.level,
        **dict(zip(POSITION, centre, strict=True)),
        "diameter_mm": float((sides * grid.spacing).max()),
        **dict(zip(CENTROID, centroid, strict=True)),
        "equivalent_diameter_mm": (6 * volume / np.pi) ** (1 / 3),
        "volume_mm3": volume,
        **dict(zip("zyxdhw", (*offset, *mask.shape), strict=True)),
    }


def _point_row(mark: Mark, place: Volume) -> dict[str, Any]:
    if mark.drawing:
        index = place.to_voxel(drawn_point(mark.drawing))
    else:
        index = np.array(point_index(mark, place.slice_geometry()))
    world = place.to_world(index)
    return {
        "marks": 1,
        "readers": 1,
        "level": 0,
        **dict(zip(POSITION, world, strict=True)),
        "diameter_mm": UNKNOWN,
        **dict(zip(CENTROID, world, strict=True)),
        "equivalent_diameter_mm": UNKNOWN,
        "volume_mm3": 0.0,
        **dict(zip("zyxdhw", (*np.rint(index).astype(int).tolist(), 0, 0, 0), strict=True)),
    }
