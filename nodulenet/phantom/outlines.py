"""The outlines that readers draw around a rendered nodule, and marks at what is not a nodule."""

from collections.abc import Callable
from itertools import cycle, islice

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations.records import Mark, MarkKind, Roi
from nodulenet.phantom.chest import Chest
from nodulenet.phantom.grid import Grid, box_of
from nodulenet.phantom.mimics import Kind, Mimic
from nodulenet.phantom.nodules import Nodule, positions

READERS = 4
# Findings that readers mark: kind, kind of mark, how many of them at most.
POINT_MARKS: tuple[tuple[Kind, MarkKind, int], ...] = (
    ("granuloma", "small", 3), ("dot", "small", 2), ("thickening", "non_nodule", 2),
    ("plaque", "non_nodule", 1),
)  # fmt: skip
BEYOND_LUNG_MM = 1.0
"""How far an outline reaches beyond the surface of the lung."""

SAME_NODULE = 0.5
"""Overlap (IoU) from which outlines are kept: the published consensus asks for more than 0.4."""

SliceUid = Callable[[int], str]


def outlined_marks(
    nodule: Nodule, name: str, chest: Chest, place: tuple[NDArray, SliceUid]
) -> list[Mark]:
    """One mark per reader; where fewer outlined the nodule, their outlines are repeated.

    place: z (mm, world) and the SOP UID of every slice.
    """
    reach = nodule.reach + 2
    box = box_of(chest.grid, nodule.centre - reach, nodule.centre + reach)
    where = positions(chest.grid, box)
    inside = chest.anatomy.lung_depth(where) > -BEYOND_LUNG_MM
    fields = islice(cycle(nodule.shape.readers), READERS)
    masks = [drawn_voxels(nodule.depth(field + nodule.bumps, where), inside) for field in fields]
    scores = {key: max(1, round(value)) for key, value in nodule.shape.scores.items()}
    return [
        Mark("nodule", name, _rois(mask if _same(mask, masks[0]) else masks[0], box, place), scores)
        for mask in masks
    ]


def _same(mask: NDArray[np.bool_], first: NDArray[np.bool_]) -> bool:
    """Whether two readers' voxels are one nodule to the consensus, with some room.

    A cut by the surface of the lung, or small size, can part outlines that agreed in the database.
    """
    return bool((mask & first).sum() > SAME_NODULE * (mask | first).sum())


def drawn_voxels(depth: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels that a reader draws; the deepest of the lung for what is smaller than a voxel."""
    mask = (depth > 0) & inside
    if not mask.any():
        lowest = np.where(inside, depth, -np.inf)
        mask = lowest >= lowest.max()
    return mask


def _rois(
    mask: NDArray[np.bool_], box: tuple[slice, slice, slice], place: tuple[NDArray, SliceUid]
) -> tuple[Roi, ...]:
    """The outer contours of every slice of a mask, along the centres of its outermost voxels."""
    z, uid = place
    rois = []
    for index, plane in enumerate(mask.astype(np.uint8), box[0].start):
        contours, _ = cv2.findContours(plane, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in contours:
            shift = (box[2].start, box[1].start)
            points = [tuple(map(float, point)) for point in contour[:, 0] + shift]
            rois.append(Roi(float(z[index]), True, tuple((x, y) for x, y in points), uid(index)))
    return tuple(rois)


def point_marks(
    mimics: list[Mimic], grid: Grid, place: tuple[NDArray, SliceUid], seed: int
) -> list[list[Mark]]:
    """The marks < 3 mm and non-nodules of every reader, each mimic marked by one or two."""
    rng = np.random.default_rng([seed, 3])
    z, uid = place
    marks: list[list[Mark]] = [[] for _ in range(READERS)]
    for source, kind, count in POINT_MARKS:
        sites = [one.site for one in mimics if one.kind == source][:count]
        for number, site in enumerate(sites, 1):
            level, row, column = np.rint(grid.index(site)).astype(int)
            roi = Roi(float(z[level]), True, ((float(column), float(row)),), uid(int(level)))
            for reader in rng.permutation(READERS)[: rng.integers(1, 3)]:
                marks[reader].append(Mark(kind, f"{source.replace(' ', '-')}-{number}", (roi,)))
    return marks
