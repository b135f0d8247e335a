"""Where LIDC's points lie in a scan: they are pixel indices of the DICOM images.

A DICOM series holds these pixels. In a file of another format their grid is restored by rule:
LIDC's axial images have rows towards the back and columns towards the left, so it is the grid in
standard orientation, however the file stores it. The exception is LUNA16's MetaImage files whose
header turns x and y (TransformMatrix -1 0 0 0 -1 0 0 0 1): the array is in the order of the DICOM
pixels, so the index of a point stays and its position changes. What a file leaves open is refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nodulenet.annotations import Group, Mark, Reading, Roi
from nodulenet.files import InputError
from nodulenet.imaging.orientation import STANDARD, Turn, off_axes, standard, turned_mask
from nodulenet.imaging.readers import image_header, read_geometry
from nodulenet.imaging.volume import Volume, blank

META_SUFFIXES = (".mhd", ".mha")
LARGEST_ANGLE = 1.0  # degrees that an axis may be off the body's: more is a turned, new grid
HOW = (
    "give the DICOM series, or convert it to a file with rows towards the back and columns towards"
    " the left (direction 1 0 0 0 1 0 0 0 1)"
)


def read_lidc_grid(ct: Path | str, series_uid: str) -> Volume:
    """The grid, without voxels, whose indices the points of an LIDC reading of this scan are.

    It is that of the images' pixels, with the slices of the scan, z rising or not. Reads headers
    alone. Raises `InputError` naming the file where they leave open how the pixels lay in DICOM.
    """
    return lidc_grid(ct, blank(*read_geometry(ct, series_uid)), series_uid)


def lidc_grid(ct: Path | str, stored: Volume, series_uid: str) -> Volume:
    """As `read_lidc_grid`, for a scan whose geometry as stored is known."""
    ct = Path(ct)
    turned, (order, flips) = standard(stored)
    if ct.is_dir():  # DICOM
        if order[0] != 0:
            raise InputError(f"{ct}: its slices are not axial, as those of LIDC's outlines are")
        return stored
    angle = off_axes(stored.affine)
    is_meta = ct.suffix.lower() in META_SUFFIXES
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
    to standard orientation. Masks are turned, never filled anew.
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
    # The first voxel of a slice, whose z names it, is another one after the turn.
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
