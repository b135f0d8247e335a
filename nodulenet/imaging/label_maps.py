"""Readers' masks as annotations: label maps in image files, and DICOM segmentations."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.annotations import DrawnVoxels, Mark, Reading, Session, drawing_of
from nodulenet.files import InputError, sha256
from nodulenet.imaging.image_files import image_suffix
from nodulenet.imaging.orientation import ASSUMED_LPS, ASSUMED_ORIGIN
from nodulenet.imaging.readers import SeveralNumbers, read_geometry, read_volume
from nodulenet.imaging.segmentations import (
    MOST_LABELS,
    check_segmentation,
    frame_of_mask,
    read_segments,
)
from nodulenet.masks import CroppedMask, crop
from nodulenet.scan_table import MaskFile

HIGHEST = (1 << 24) - 1
"""Labels are read as float32, which has every whole number up to here."""


def read_label_maps(files: Sequence[Path | MaskFile], series_uid: str) -> Reading:
    """The masks of one series, each file by one reader, as a reading whose marks have voxels.

    A file is an image whose whole numbers above 0 are labels, or a DICOM segmentation; a label or
    a segment is one nodule or, if the file has a choice of labels and it is not among them, a
    non-nodule. A file without any is a reader who found nothing. Raises `InputError` naming the
    file and the fault, such as a chosen label that it lacks.
    """
    paths = [file.path if isinstance(file, MaskFile) else file for file in files]
    if repeated := [path for path in paths if paths.count(path) > 1]:
        raise InputError(f"{repeated[0]}: is named twice: each reader has one file")
    sessions = tuple(session_of(file, series_uid) for file in files)
    flags = [flag for session in sessions for flag in flags_of(session)]
    first: dict[tuple[DrawnVoxels | None, ...], str | None] = {}
    for session in sessions:
        drawn = tuple(mark.drawing for mark in session.marks)
        if drawn and (other := first.setdefault(drawn, session.reader)) != session.reader:
            flags.append(f"{session.reader}: the same masks as {other}, counted as two readers")
    whole = hashlib.sha256("".join(map(sha256, paths)).encode()).hexdigest()
    return Reading(series_uid, sessions, ";".join(map(str, paths)), whole, tuple(flags))


def session_of(file: Path | MaskFile, series_uid: str) -> Session:
    """What the reader of one file drew. Raises `InputError` as `read_label_maps`."""
    if isinstance(file, MaskFile):
        path = file.path
        marks = chosen_marks(file, nodules_of_file(path, series_uid))
    else:
        path = file
        marks = tuple(mark for _, mark in nodules_of_file(path, series_uid))
    return Session(str(path), marks, frame_of_mask(path))


def chosen_marks(file: MaskFile, marks: Iterable[tuple[int, Mark]]) -> tuple[Mark, ...]:
    """The marks of a file's labels: nodules if chosen, else non-nodules. Raises `InputError`."""
    drawn = dict(marks)
    if missing := sorted(file.labels - set(drawn)):
        told = ", ".join(map(str, sorted(drawn))) or "none"
        raise InputError(
            f"{file.path}: lacks label {', '.join(map(str, missing))}, a nodule by the scan table;"
            f" its labels: {told}"
        )
    return tuple(
        mark if label in file.labels else replace(mark, kind="non_nodule")
        for label, mark in drawn.items()
    )


def flags_of(session: Session) -> list[str]:
    """What is odd about one reader's marks."""
    others = [mark.mark_id for mark in session.marks if mark.kind != "nodule"]
    flags = []
    if len(others) == len(session.marks):
        flags.append(f"{session.reader}: no nodule is drawn")
    if others:
        flags.append(f"{session.reader}: no nodules by the scan table: {', '.join(others)}")
    return flags


def nodules_of_file(path: Path, series_uid: str) -> Iterator[tuple[int, Mark]]:
    """The labels of one file with their nodules. Raises `InputError` as `read_label_maps`."""
    if not path.is_file():
        raise InputError(f"{path}: is not a file: name the mask file itself")
    if not image_suffix(path):
        yield from read_segments(path, series_uid)
        return
    try:
        volume = read_volume(path, series_uid)
    except SeveralNumbers as error:
        raise InputError(f"{error}: export one label map, or a DICOM segmentation") from error
    assumed = ASSUMED_LPS, ASSUMED_ORIGIN
    placed = not any(sign in note for note in volume.notes for sign in assumed)
    for label, voxels in masks_of_labels(volume.array, path):
        drawing = drawing_of(voxels, volume.affine, volume.array.shape, placed)
        yield label, Mark("nodule", f"label {label}", (), drawing=drawing)


def check_mask(path: Path, series_uid: str) -> None:
    """Raise `InputError` as `read_label_maps` for what the headers of a mask file tell.

    No voxels are read, and highdicom is not imported.
    """
    if image_suffix(path):
        read_geometry(path, series_uid)
    else:
        check_segmentation(path, series_uid)


def masks_of_labels(array: NDArray, path: Path) -> Iterator[tuple[int, CroppedMask]]:
    """Each label of an array (z, y, x), rising, with its mask.

    Raises `InputError` naming `path` if the array holds other numbers than labels, or too many.
    """
    where = np.nonzero(array)
    values = array[where]
    labels = np.unique(values)
    odd = labels[(labels < 0) | (labels != np.rint(labels)) | (labels > HIGHEST)]
    if len(odd):
        what = f"labels are whole numbers from 0 to {HIGHEST}"
        raise InputError(f"{path}: holds {odd[0]:g}, but {what}")
    if len(labels) > MOST_LABELS:
        raise InputError(
            f"{path}: holds {len(labels)} labels, more than {MOST_LABELS}: not a mask of nodules"
        )
    numbered = np.zeros(array.shape, np.uint16)
    numbered[where] = np.searchsorted(labels, values) + 1
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        offset = [side.start for side in box]
        yield int(labels[number - 1]), crop(numbered[box] == number, offset)
