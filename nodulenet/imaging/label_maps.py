"""Readers' masks as annotations: label maps in image files, and DICOM segmentations.

highdicom is imported only for a segmentation: importing it is slow.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.annotations import Mark, Reading, Session, drawing_of
from nodulenet.files import InputError, reason_of, sha256
from nodulenet.imaging.dicom_header import NotDicom, read_header, text_of
from nodulenet.imaging.image_files import IMAGE_SUFFIXES, image_suffix
from nodulenet.imaging.orientation import ASSUMED_LPS
from nodulenet.imaging.readers import read_volume
from nodulenet.masks import CroppedMask, crop

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes: segmentation, label map segmentation."""

MOST_LABELS = 1000
"""More in one scan are no nodules."""

log = logging.getLogger(__name__)


def read_label_maps(paths: Sequence[Path], series_uid: str) -> Reading:
    """The masks of one series, each file by one reader, as a reading whose marks have voxels.

    A file is an image whose whole numbers above 0 are labels, or a DICOM segmentation; a label or
    a segment is one nodule. A file without any is a reader who found nothing. Raises `InputError`
    naming the file and the fault.
    """
    sessions = tuple(Session(path.name, tuple(read_marks(path, series_uid))) for path in paths)
    flags = tuple(
        f"{path}: no nodule is drawn"
        for path, session in zip(paths, sessions, strict=True)
        if not session.marks
    )
    whole = hashlib.sha256("".join(map(sha256, paths)).encode()).hexdigest()
    return Reading(series_uid, sessions, ";".join(map(str, paths)), whole, flags)


def read_marks(path: Path, series_uid: str) -> Iterator[Mark]:
    """The nodules of one file. Raises `InputError` as `read_label_maps`."""
    if not path.is_file():
        raise InputError(f"{path}: is not a file")
    if not image_suffix(path):
        yield from read_segments(path, series_uid)
        return
    volume = read_volume(path)
    oriented = not any(ASSUMED_LPS in note for note in volume.notes)
    for label, voxels in masks_of_labels(volume.array, path):
        drawing = drawing_of(voxels, volume.affine, volume.array.shape, oriented)
        yield Mark("nodule", f"label {label}", (), drawing=drawing)


def masks_of_labels(array: NDArray, path: Path) -> Iterator[tuple[int, CroppedMask]]:
    """Each label of an array (z, y, x), rising, with its mask.

    Raises `InputError` naming `path` if the array holds other numbers than labels, or too many.
    """
    where = np.nonzero(array)
    values = array[where]
    labels = np.unique(values)
    odd = labels[(labels < 0) | (labels != np.rint(labels))]
    if len(odd):
        raise InputError(f"{path}: holds {odd[0]:g}, but labels are whole numbers from 0")
    if len(labels) > MOST_LABELS:
        raise InputError(
            f"{path}: holds {len(labels)} labels, more than {MOST_LABELS}: not a mask of nodules"
        )
    numbered = np.zeros(array.shape, np.uint16)
    numbered[where] = np.searchsorted(labels, values) + 1
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        offset = [side.start for side in box]
        yield int(labels[number - 1]), crop(numbered[box] == number, offset)


def read_segments(path: Path, series_uid: str) -> Iterator[Mark]:
    """The segments of a DICOM segmentation that have voxels, in order.

    Raises `InputError` if it is no segmentation, refers to another series, is fractional, or its
    frames do not form a volume.
    """
    segmentation = open_segmentation(path, series_uid)
    for number in segmentation.segment_numbers:
        try:
            volume = segmentation.get_volume(segment_numbers=[number], combine_segments=True)
        except MemoryError:
            raise
        except Exception as error:  # highdicom raises errors of many kinds
            raise InputError(
                f"{path}: segment {number} cannot be read: {reason_of(error)}"
            ) from error
        voxels = crop(volume.array.astype(bool))
        if voxels.mask.size:
            z, y, x = volume.array.shape
            drawing = drawing_of(voxels, np.asarray(volume.affine, float), (z, y, x))
            label = segmentation.get_segment_description(number).segment_label
            yield Mark("nodule", f"segment {number} ({label})", (), drawing=drawing)


def open_segmentation(path: Path, series_uid: str) -> Segmentation:
    """A DICOM segmentation of this series. Raises `InputError` as `read_segments`."""
    try:
        header = read_header(path)
    except NotDicom:
        known = " ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: neither a DICOM file nor an image ({known})") from None
    if header.get("SOPClassUID") not in SEGMENTATIONS:
        kind = text_of(header, "Modality", path) or "unknown"
        raise InputError(f"{path}: a DICOM file of modality {kind}, not a segmentation (SEG)")
    if text_of(header, "SegmentationType", path) == "FRACTIONAL":
        raise InputError(f"{path}: a fractional segmentation: save it as a binary one")
    from highdicom.seg import segread

    try:
        segmentation = segread(path)
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: a segmentation that cannot be read: {reason_of(error)}"
        ) from error
    referred = {str(one.SeriesInstanceUID) for one in header.get("ReferencedSeriesSequence", [])}
    if other := sorted(referred - {series_uid}):
        raise InputError(f"{path}: refers to series {other[0]}, not to {series_uid}")
    if not referred:
        log.warning("%s: does not name the series that it is of", path)
    return segmentation
