"""The marks of a scan where LUNA16's lists have them: one row a mark.

The challenge merged the marks of a nodule pairwise, in the order of the reading sessions and from
the last: a row for the last mark, one for the mean of it and the mark before, and so on. The last
mean, of the first mark and all that follow, is the nodule's row in the list of annotations if
enough readers marked it; all other rows are excluded findings. (Found by comparing the lists with
the XML files, see docs/annotations.md; not stated by the challenge.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations import Group, Reading, SliceGeometry, point_index
from nodulenet.imaging import Volume


@dataclass(frozen=True, eq=False)
class ChallengeMark:
    """Where the challenge has a row: position LPS (x, y, z) and diameter in mm (-1: a point).

    kind: "small", "non_nodule", "below_level", "nodule" (the mean of all its marks) or
    "part_of_nodule" (of some). excluded: whether it is one of our excluded findings.
    """

    name: str
    kind: str
    position: NDArray[np.float64]
    diameter: float
    excluded: bool


def challenge_marks(
    reading: Reading, groups: Sequence[Group], place: Volume, level: int = 3
) -> list[ChallengeMark]:
    """The rows to be expected of one scan: of each group, then of each point mark.

    groups: of the strict protocol, whose outlines are the readers' marks.
    """
    found = []
    for number, group in enumerate(groups, 1):
        wanted = group.level >= level
        for first, (position, diameter) in enumerate(_means(group, place)):
            kind = ("part_of_nodule" if first else "nodule") if wanted else "below_level"
            sessions = ", ".join(str(session + 1) for session, _ in group.members[first:])
            name = f"marks of sessions {sessions} of finding {number} (level {group.level})"
            found.append(ChallengeMark(name, kind, position, diameter, not wanted))
    geometry = SliceGeometry(place.slice_z(), (place.array.shape[1], place.array.shape[2]))
    for session_number, session in enumerate(reading.sessions, 1):
        for mark in session.marks:
            if mark.kind != "nodule":
                position = place.to_world(np.array(point_index(mark, geometry)))
                name = f"session {session_number}, {mark.kind} {mark.mark_id!r}"
                found.append(ChallengeMark(name, mark.kind, position, -1.0, True))
    return found


def nodule_rows(
    groups: Sequence[Group], place: Volume, level: int = 3
) -> list[tuple[NDArray[np.float64], float]]:
    """Position (LPS, mm) and diameter (mm) that the annotations have for each nodule."""
    return [_means(group, place)[0] for group in groups if group.level >= level]


def _means(group: Group, place: Volume) -> list[tuple[NDArray[np.float64], float]]:
    """Centroid and volume-equivalent diameter of each mark, averaged with those after it."""
    voxel = abs(np.linalg.det(place.affine[:3, :3]))
    means: list[tuple[NDArray[np.float64], float]] = []
    for mask, offset in reversed(group.outlines):
        centroid = place.to_world(np.argwhere(mask).mean(axis=0) + offset)
        diameter = float((6 * mask.sum() * voxel / np.pi) ** (1 / 3))
        if means:
            after, after_diameter = means[0]
            centroid, diameter = (centroid + after) / 2, (diameter + after_diameter) / 2
        means.insert(0, (centroid, diameter))
    return means
