"""Nodules of which position and diameter alone are known: cubes in place of outlines."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations import Group, ListedNodule
from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.annotations.consensus import MAX_LEVEL
from nodulenet.files import InputError
from nodulenet.imaging.volume import Volume

UNKNOWN_MM = 10.0  # as the challenge reads a negative diameter
NEAR = 1e-6  # voxels within which a face is on a voxel's centre or edge
LEAST_MM = 2.0  # a thinner cube could fall between the voxels of the 1 mm grid


def cube_groups(listed: Sequence[ListedNodule], place: Volume) -> list[Group]:
    """A group of one mark, (0, number in `listed`), for every nodule: its cube as mask, no outline.

    They come by falling side: where two overlap the later one has the voxel, so that a small
    nodule is not lost below a large one. A cube that reaches beyond the scan is cut there.

    Raises `InputError` naming the line for a nodule whose centre is outside the scan.
    """
    groups = []
    for number in sorted(range(len(listed)), key=lambda k: -cube_side(listed[k])):
        first, last = cube_box(listed[number], place)
        limit = np.array(place.array.shape) - 1
        first, last = np.clip(first, 0, limit), np.clip(last, 0, limit)
        mask = np.ones(tuple(last - first + 1), np.bool_)
        z, y, x = first.tolist()
        groups.append(Group(((0, number),), mask, (z, y, x), ()))
    return groups


def cube_side(nodule: ListedNodule) -> float:
    """Side in mm: the diameter, 10 mm where it is unknown."""
    return nodule.diameter_mm if nodule.diameter_mm > 0 else UNKNOWN_MM


def cube_box(nodule: ListedNodule, place: Volume) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First and last voxel (z, y, x) of a nodule's cube, beyond the scan where it reaches there.

    Its sides lie along the scan's axes and hold the voxels whose centres are in the cube, but at
    least 2 mm. Raises `InputError` naming the line where the centre is outside the scan.
    """
    centre = place.to_voxel(np.array(nodule.centre))
    beyond = np.maximum(-0.5 - centre, centre - np.array(place.array.shape) + 0.5)
    if beyond.max() > NEAR:
        at, index = (", ".join(f"{v:g}" for v in p) for p in (nodule.centre, centre.round(1)))
        raise InputError(
            f"line {nodule.line}: the position ({at}) mm, index (z, y, x) = ({index}), is outside"
            f" the scan of {' x '.join(map(str, place.array.shape))} voxels"
        )
    size = cube_side(nodule) / place.spacing
    # Half-open, so that rounding does not decide on which side a face between two centres falls.
    first, end = (np.ceil(centre + sign * size / 2 - NEAR) for sign in (-1, 1))
    least = np.ceil(LEAST_MM / place.spacing - NEAR)
    thin = end - first < least
    first[thin] = np.ceil(centre - least / 2 - NEAR)[thin]
    end[thin] = (first + least)[thin]
    return first.astype(int), end.astype(int) - 1


def cut_cubes(listed: Sequence[ListedNodule], place: Volume) -> tuple[str, ...]:
    """One line for every nodule whose cube reaches beyond the scan, for the log."""
    lines = []
    for nodule in listed:
        first, last = cube_box(nodule, place)
        if (first < 0).any() or (last >= place.array.shape).any():
            side = f"{cube_side(nodule):g} mm"
            lines.append(f"line {nodule.line}: its cube of {side} is cut at the edge of the scan")
    return tuple(lines)


def listed_findings(
    table: pd.DataFrame, groups: Sequence[Group], listed: Sequence[ListedNodule]
) -> pd.DataFrame:
    """The findings of `cube_groups` with centre and diameters exactly as listed.

    Only the box z, y, x, d, h, w stays that of the voxels. The volume is that of a ball of the
    diameter, 0 where it is unknown; the level is 4: a listed nodule is one at every level.
    """
    nodules = [listed[group.members[0][1]] for group in groups]
    centres = np.reshape([nodule.centre for nodule in nodules], (-1, 3))
    diameter = np.array([nodule.diameter_mm for nodule in nodules])
    values = dict(zip(POSITION, centres.T, strict=True))
    values |= dict(zip(("centroidX", "centroidY", "centroidZ"), centres.T, strict=True))
    values |= dict.fromkeys(("diameter_mm", "equivalent_diameter_mm"), diameter)
    return table.assign(
        **values, volume_mm3=np.pi / 6 * np.maximum(diameter, 0) ** 3, level=MAX_LEVEL
    )
