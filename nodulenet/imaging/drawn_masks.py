"""Readers' masks on the grid of a scan."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.annotations import DrawnVoxels, Group, Reading, Session, voxels_of
from nodulenet.annotations.consensus import DrawnMark, group_members
from nodulenet.files import InputError
from nodulenet.imaging.dicom_series import read_frame
from nodulenet.imaging.grid import index_map
from nodulenet.imaging.masks import resample_mask
from nodulenet.imaging.orientation import standard
from nodulenet.imaging.volume import Volume, blank
from nodulenet.masks import CroppedMask, crop
from nodulenet.settings import ConsensusSettings

ALIGNED = 1e-2  # voxels by which the grids of a mask and of its scan may differ by rounding


def is_drawn(reading: Reading) -> bool:
    """Whether the marks of a reading are masks."""
    return any(mark.drawing for session in reading.sessions for mark in session.marks)


def require_same_frame(reading: Reading, ct: Path) -> None:
    """Raise `InputError` for a segmentation in another frame of reference than its CT's.

    Where both name theirs; of the CT one header is read, and only if a mask has a frame.
    """
    framed = [session for session in reading.sessions if session.frame_of_reference]
    own = read_frame(ct, reading.series_uid) if framed else None
    for session in framed:
        if own and session.frame_of_reference != own:
            frame = session.frame_of_reference
            raise InputError(f"{session.reader}: its frame of reference is {frame}, the CT's {own}")


def drawn_groups(
    reading: Reading, stored: Volume, rules: ConsensusSettings
) -> tuple[list[Group], list[str]]:
    """The groups of a reading's masks in the grid of its scan in standard orientation, at every
    level, and a line for each thing that is odd.

    stored: the grid of the scan's file. Raises `InputError` for a mask that is not on the scan.
    """
    place, _ = standard(stored)
    drawn, notes = [], []
    for number, session in enumerate(reading.sessions):
        masks, odd = place_session(session, place, rules.components)
        drawn += [DrawnMark(number, mark, mask, mask) for mark, mask in masks]
        notes += odd
    readers = len(reading.sessions)
    if readers < rules.level:
        count = f"{readers} reader{'s' * (readers != 1)}"
        notes.append(f"{count}, but consensus.level is {rules.level}: no nodule here counts")
    return group_members(drawn, rules.model_copy(update={"level": 1})), notes


def place_session(
    session: Session, place: Volume, components: bool
) -> tuple[list[tuple[int, CroppedMask]], list[str]]:
    """The nodules' masks of one reader on the grid of `place` with the positions of their marks,
    and notes.

    components: whether the only nodule of a reader is split into its parts.
    """
    masks, notes, resampled = [], [], False
    split = components and sum(mark.kind == "nodule" for mark in session.marks) == 1
    for number, mark in enumerate(session.marks):
        if mark.drawing is None:
            continue
        where = f"{session.reader}: {mark.mark_id}"
        fits = is_aligned(mark.drawing, place)
        if not fits and not mark.drawing.placed:
            fault = "its header does not say where it lies, and its grid is not the CT's"
            raise InputError(f"{session.reader}: {fault}")
        if mark.kind != "nodule":
            if not place.contains(drawn_point(mark.drawing)):
                notes.append(f"{where}: lies outside the CT")
            continue
        resampled |= not fits
        parts = parts_of(voxels_of(mark.drawing))
        if len(parts) > 1:
            what = "nodules" if split else "one nodule (consensus.components splits them)"
            notes.append(f"{where}: {len(parts)} separate parts are {what}")
        for part in parts if split else [voxels_of(mark.drawing)]:
            mask, cut = placed(part, mark.drawing, place, where)
            masks.append((number, mask))
            notes += [cut] if cut else []
    if resampled:
        notes.append(f"{session.reader}: its grid is not the CT's: resampled by nearest neighbour")
    return masks, notes


def drawn_point(drawing: DrawnVoxels) -> NDArray[np.float64]:
    """The centroid of a drawing's voxels, (x, y, z) in LPS mm."""
    voxels = voxels_of(drawing)
    centroid = np.argwhere(voxels.mask).mean(axis=0) + voxels.offset
    return blank(np.array(drawing.affine), drawing.grid).to_world(centroid)


def parts_of(mask: CroppedMask) -> list[CroppedMask]:
    """The connected parts (26 neighbours) of a mask."""
    parts, count = ndimage.label(mask.mask, np.ones((3, 3, 3)))
    return [crop(parts == number, mask.offset) for number in range(1, count + 1)]


def is_aligned(drawing: DrawnVoxels, place: Volume) -> bool:
    """Whether the voxels of a drawing's grid are voxels of the scan, or of its grid continued."""
    own, _ = standard(blank(np.array(drawing.affine), drawing.grid))
    matrix, shift = index_map(place.affine, own.affine)
    last = np.array(own.array.shape) - 1
    off = np.abs(matrix - np.eye(3)) @ last + np.abs(shift - np.rint(shift))
    return bool((off < ALIGNED).all())


def placed(
    mask: CroppedMask, drawing: DrawnVoxels, place: Volume, where: str
) -> tuple[CroppedMask, str]:
    """A mask of a drawing's grid on that of `place`, by nearest neighbour, which is exact between
    grids that differ by a turn, and a note if a part of it lies outside.

    Raises `InputError` if nothing is left of it.
    """
    whole = resample_mask(mask, np.array(drawing.affine), place.affine, order=0)
    if not whole.mask.size:
        raise InputError(f"{where}: vanishes between the voxels of the CT")
    inside = crop(*whole, place.array.shape)
    if not inside.mask.size:
        raise InputError(f"{where}: lies outside the CT: at {_span(whole, place)}")
    lost = int(whole.mask.sum() - inside.mask.sum())
    return inside, f"{where}: {lost} of its voxels lie outside the CT" if lost else ""


def _span(mask: CroppedMask, place: Volume) -> str:
    """The positions of a mask's box in mm, for messages."""
    low = place.to_world(np.array(mask.offset))
    high = place.to_world(np.array(mask.offset) + mask.mask.shape)
    axes = zip("xyz", np.minimum(low, high), np.maximum(low, high), strict=True)
    return ", ".join(f"{axis} {a:.0f} to {b:.0f} mm" for axis, a, b in axes)
