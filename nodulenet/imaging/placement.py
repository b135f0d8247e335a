"""Marks on the grid of a scan: LIDC's outlines, and listed nodules as boxes.

LIDC's points are pixel indices of the DICOM images. A DICOM series has these pixels. For a file of
another format their grid is inferred: LIDC's axial images have rows towards the back and columns
towards the left, so it is the grid in standard orientation, however the file stores it. The
exception is LUNA16's MetaImage files whose header turns x and y (TransformMatrix
-1 0 0 0 -1 0 0 0 1): the array is in the order of the DICOM pixels, so the index of a point stays
and its position changes. Ambiguous files are refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations import Group, ListedNodule, Mark, Reading, Roi
from nodulenet.annotations.challenge_csv import POSITION, UNKNOWN_DIAMETER_MM
from nodulenet.annotations.consensus import MAX_LEVEL
from nodulenet.files import InputError
from nodulenet.imaging.findings import CENTROID
from nodulenet.imaging.image_files import META
from nodulenet.imaging.orientation import STANDARD, Turn, off_axes, standard, turned_mask
from nodulenet.imaging.readers import image_header, read_geometry
from nodulenet.imaging.volume import NEAR, Volume, blank

LARGEST_ANGLE = 1.0  # degrees between a grid axis and the body's; more: a new, rotated grid
HOW = (
    "give the DICOM series, or convert it to a file with rows towards the back and columns towards"
    " the left (direction 1 0 0 0 1 0 0 0 1)"
)
LEAST_MM = 2.0  # a thinner box could fall between the voxels of the 1 mm grid


def read_lidc_grid(ct: Path | str, series_uid: str) -> Volume:
    """The grid, without voxels, that the points of an LIDC reading of this scan are indices of.

    It has the pixels of the DICOM images and the slices of the scan, z rising or not. Reads only
    headers. Raises `InputError` naming the file if they do not tell how the pixels lay in DICOM.
    """
    return lidc_grid(ct, blank(*read_geometry(ct, series_uid)), series_uid)


def lidc_grid(ct: Path | str, stored: Volume, series_uid: str) -> Volume:
    """As `read_lidc_grid`, for a scan whose stored geometry is known."""
    ct = Path(ct)
    turned, (order, flips) = standard(stored)
    if ct.is_dir():  # DICOM
        if order[0] != 0:
            raise InputError(f"{ct}: its slices are not axial, as those of LIDC's outlines are")
        return stored
    angle = off_axes(stored.affine)
    is_meta = ct.suffix.lower() in META
    turns_plane = is_meta and order == (0, 1, 2) and {1, 2} <= set(flips)
    fault = ""
    if not image_header(ct).oriented:
        fault = "its header has no orientation"
    elif angle > LARGEST_ANGLE:
        fault = f"its axes are {angle:.1f} degrees off the body's"
    elif turns_plane and ct.name == f"{series_uid}.mhd" and flips == (1, 2):
        return stored
    elif turns_plane:
        fault = (
            "its header turns x and y, as LUNA16's files do with pixels in their DICOM order and"
            f" other files with pixels turned; LUNA16's would be named {series_uid}.mhd"
        )
    if fault:
        raise InputError(f"{ct}: cannot place outlines, which are in DICOM pixels: {fault}; {HOW}")
    return turned


def to_standard_grid(
    reading: Reading, groups: Sequence[Group], pixels: Volume
) -> tuple[Reading, list[Group], Volume]:
    """A reading and the groups of its marks in the grid of `read_lidc_grid`, and that grid, turned
    to standard orientation. Masks are turned, never filled again.
    """
    place, turn = standard(pixels)
    if turn == STANDARD:
        return reading, list(groups), place
    sessions = tuple(
        replace(session, marks=tuple(_turned_mark(mark, turn, pixels) for mark in session.marks))
        for session in reading.sessions
    )
    shape = pixels.array.shape
    turned = []
    for group in groups:
        mask, offset = turned_mask(group.cropped, turn, shape)
        outlines = tuple(turned_mask(outline, turn, shape) for outline in group.outlines)
        turned.append(replace(group, mask=mask, offset=offset, outlines=outlines))
    return replace(reading, sessions=sessions), turned, place


def _turned_mark(mark: Mark, turn: Turn, pixels: Volume) -> Mark:
    order, flips = turn
    ends = np.array(pixels.array.shape) - 1
    # A slice is named by the z of its first voxel, which the turn may move.
    shift = sum(pixels.affine[2, order[axis]] * ends[order[axis]] for axis in flips if axis)
    rois = []
    for roi in mark.rois:
        vertices = []
        for x, y in roi.vertices:
            stored = (0.0, y, x)
            at = [stored[axis] for axis in order]
            for axis in flips:
                at[axis] = ends[order[axis]] - at[axis]
            vertices.append((float(at[2]), float(at[1])))
        rois.append(Roi(roi.z + float(shift), roi.inclusion, tuple(vertices), roi.sop_uid))
    return replace(mark, rois=tuple(rois))


def listed_groups(listed: Sequence[ListedNodule], place: Volume) -> list[Group]:
    """One group per nodule: a box as mask, the member (0, number in `listed`), no outlines.

    In descending order of volume: where two overlap the later one has the voxel, so that a small
    nodule is not hidden by a large one. Boxes are clipped to the scan. Raises `InputError` naming
    the line of a nodule whose centre is outside the scan.
    """
    groups = []
    for number in sorted(range(len(listed)), key=lambda k: -listed_sides(listed[k]).prod()):
        first, last = listed_box(listed[number], place)
        limit = np.array(place.array.shape) - 1
        first, last = np.clip(first, 0, limit), np.clip(last, 0, limit)
        mask = np.ones(tuple(last - first + 1), np.bool_)
        z, y, x = first.tolist()
        groups.append(Group(((0, number),), mask, (z, y, x), ()))
    return groups


def listed_sides(nodule: ListedNodule) -> NDArray[np.float64]:
    """Sides (z, y, x) in mm: of its box, else of a cube of its diameter, 10 mm if unknown."""
    if nodule.sides_mm:
        return np.array(nodule.sides_mm[::-1])
    known = nodule.diameter_mm > 0
    return np.full(3, nodule.diameter_mm if known else UNKNOWN_DIAMETER_MM)


def listed_box(nodule: ListedNodule, place: Volume) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First and last voxel (z, y, x) of a nodule's box, not clipped to the scan.

    The voxels whose centres are in the box, which lies along the scan's axes, but at least 2 mm.
    Raises `InputError` naming the line if the centre is outside the scan.
    """
    centre = place.to_voxel(np.array(nodule.centre))
    if not place.contains(np.array(nodule.centre)):
        at, index = (", ".join(f"{v:g}" for v in p) for p in (nodule.centre, centre.round(1)))
        raise InputError(
            f"line {nodule.line}: the position ({at}) mm, index (z, y, x) = ({index}), is outside"
            f" the scan of {' x '.join(map(str, place.array.shape))} voxels"
        )
    size = listed_sides(nodule) / place.spacing
    # Half-open: rounding must not decide which voxel a face between two centres belongs to.
    first, end = (np.ceil(centre + sign * size / 2 - NEAR) for sign in (-1, 1))
    least = np.ceil(LEAST_MM / place.spacing - NEAR)
    thin = end - first < least
    first[thin] = np.ceil(centre - least / 2 - NEAR)[thin]
    end[thin] = (first + least)[thin]
    return first.astype(int), end.astype(int) - 1


def cut_listed(listed: Sequence[ListedNodule], place: Volume) -> tuple[str, ...]:
    """One line for every nodule whose box extends beyond the scan, for the log."""
    lines = []
    for nodule in listed:
        first, last = listed_box(nodule, place)
        if (first < 0).any() or (last >= place.array.shape).any():
            sides = " x ".join(f"{side:g}" for side in listed_sides(nodule)[::-1])
            lines.append(f"line {nodule.line}: its box of {sides} mm is cut at the scan's edge")
    return tuple(lines)


def listed_findings(
    table: pd.DataFrame, groups: Sequence[Group], listed: Sequence[ListedNodule]
) -> pd.DataFrame:
    """The findings of `listed_groups` with centre and diameters exactly as listed.

    Only the box z, y, x, d, h, w remains that of the voxels. The volume is that of an ellipsoid
    with the sides as axes (a ball of the diameter where there is no box; 0 if the size is unknown),
    the equivalent diameter that of a ball of that volume; the level is 4, so that a listed nodule
    counts at every level.
    """
    nodules = [listed[group.members[0][1]] for group in groups]
    centres = np.reshape([nodule.centre for nodule in nodules], (-1, 3))
    diameter = np.array([nodule.diameter_mm for nodule in nodules])
    equivalent = np.array(
        [np.cbrt(np.prod(n.sides_mm)) if n.sides_mm else n.diameter_mm for n in nodules]
    )
    values = dict(zip(POSITION, centres.T, strict=True))
    values |= dict(zip(CENTROID, centres.T, strict=True))
    values |= {"diameter_mm": diameter, "equivalent_diameter_mm": equivalent}
    volume = np.pi / 6 * np.maximum(equivalent, 0) ** 3
    return table.assign(**values, volume_mm3=volume, level=MAX_LEVEL)
