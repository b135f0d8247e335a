"""Readers' masks on the grid of a scan."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from nodulenet.annotations import Drawing, Group, Reading, voxels_of
from nodulenet.annotations.consensus import Member, group_members
from nodulenet.files import InputError
from nodulenet.imaging.grid import index_map
from nodulenet.imaging.masks import resample_mask
from nodulenet.imaging.orientation import standard
from nodulenet.imaging.volume import Volume, blank
from nodulenet.masks import CroppedMask, crop
from nodulenet.settings import ConsensusSettings

ALIGNED = 1e-2  # voxels by which the grids of a mask and of its scan may differ by rounding


class Drawn(NamedTuple):
    """A mask on the grid of its scan: the positions of its session and mark, and its source."""

    session: int
    mark: int
    mask: CroppedMask
    where: str


def is_drawn(reading: Reading) -> bool:
    """Whether the marks of a reading are masks."""
    return any(mark.drawing for session in reading.sessions for mark in session.marks)


def drawn_groups(
    reading: Reading, stored: Volume, rules: ConsensusSettings
) -> tuple[list[Group], list[str]]:
    """The groups of a reading's masks in the grid of its scan in standard orientation, at every
    level, and a line for each thing that is odd.

    stored: the grid of the scan's file. Raises `InputError` for a mask that is not on the scan.
    """
    drawn, notes = place_drawings(reading, stored)
    if rules.components:
        drawn = [part for one in drawn for part in parts_of(one, drawn)]
    else:
        notes += [line for one in drawn if (line := _scattered(one))]
    members = [Member(one.session, one.mark, one.mask, one.mask) for one in drawn]
    readers = len(reading.sessions)
    if readers < rules.level:
        count = f"{readers} reader{'s' * (readers != 1)}"
        notes.append(
            f"{count}, but consensus.level is {rules.level}: no nodule of this scan counts"
        )
    return group_members(members, rules.model_copy(update={"level": 1})), notes


def place_drawings(reading: Reading, stored: Volume) -> tuple[list[Drawn], list[str]]:
    """The masks of a reading in the grid of its scan in standard orientation, and notes."""
    place, _ = standard(stored)
    drawn, notes = [], []
    for session_index, session in enumerate(reading.sessions):
        resampled = False
        for mark_index, mark in enumerate(session.marks):
            if mark.drawing is None:
                continue
            where = f"{session.reader}: {mark.mark_id}"
            fits = is_aligned(mark.drawing, place)
            if not fits and not mark.drawing.oriented:
                raise InputError(
                    f"{session.reader}: its header has no orientation, and its grid is not the CT's"
                )
            resampled |= not fits
            mask, cut = placed(mark.drawing, place, where)
            drawn.append(Drawn(session_index, mark_index, mask, where))
            notes += [cut] if cut else []
        if resampled:
            notes.append(
                f"{session.reader}: its grid is not the CT's: resampled by nearest neighbour"
            )
    return drawn, notes


def is_aligned(drawing: Drawing, place: Volume) -> bool:
    """Whether the voxels of a drawing's grid are voxels of the scan, or of its grid continued."""
    own, _ = standard(blank(np.array(drawing.affine), drawing.grid))
    matrix, shift = index_map(place.affine, own.affine)
    last = np.array(own.array.shape) - 1
    off = np.abs(matrix - np.eye(3)) @ last + np.abs(shift - np.rint(shift))
    return bool((off < ALIGNED).all())


def placed(drawing: Drawing, place: Volume, where: str) -> tuple[CroppedMask, str]:
    """A drawing on the grid of `place`, by nearest neighbour, which is exact between grids that
    differ by a turn, and a note if a part of it lies outside.

    Raises `InputError` if nothing is left of it.
    """
    whole = resample_mask(voxels_of(drawing), np.array(drawing.affine), place.affine, order=0)
    if not whole.mask.size:
        raise InputError(f"{where}: vanishes between the voxels of the CT")
    mask = crop(*whole, place.array.shape)
    if not mask.mask.size:
        raise InputError(f"{where}: lies outside the CT: at {_span(whole, place)}")
    lost = int(whole.mask.sum() - mask.mask.sum())
    return mask, f"{where}: {lost} of its voxels lie outside the CT" if lost else ""


def parts_of(one: Drawn, drawn: Sequence[Drawn]) -> Iterator[Drawn]:
    """The connected parts (26 neighbours) of a mask if it is the only one of its reader."""
    if sum(other.session == one.session for other in drawn) > 1:
        yield one
        return
    parts, count = ndimage.label(one.mask.mask, np.ones((3, 3, 3)))
    for number in range(1, count + 1):
        yield one._replace(mask=crop(parts == number, one.mask.offset))


def _scattered(one: Drawn) -> str:
    count = ndimage.label(one.mask.mask, np.ones((3, 3, 3)))[1]
    if count == 1:
        return ""
    return f"{one.where}: {count} separate parts are one nodule (consensus.components splits them)"


def _span(mask: CroppedMask, place: Volume) -> str:
    """The positions of a mask's box in mm, for messages."""
    low = place.to_world(np.array(mask.offset))
    high = place.to_world(np.array(mask.offset) + mask.mask.shape)
    axes = zip("xyz", np.minimum(low, high), np.maximum(low, high), strict=True)
    return ", ".join(f"{axis} {a:.0f} to {b:.0f} mm" for axis, a, b in axes)
