"""DICOM segmentations (SEG) as annotations.

highdicom is imported only where the voxels are read: importing it is slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nodulenet.annotations import Mark, drawing_of
from nodulenet.files import InputError, reason_of
from nodulenet.imaging.dicom_header import FRAME, NotDicom, read_header, text_of
from nodulenet.imaging.image_files import IMAGE_SUFFIXES, image_suffix
from nodulenet.masks import crop

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes: segmentation, label map segmentation."""

HEADER = ("SOPClassUID", "Modality", "SegmentationType", FRAME, "ReferencedSeriesSequence")

MOST_LABELS = 1000
"""More in one scan are no nodules."""


def frame_of_mask(path: Path) -> str | None:
    """The FrameOfReferenceUID of a DICOM segmentation; None where a file has none."""
    if image_suffix(path):
        return None
    return text_of(read_header(path, [FRAME]), FRAME, path) or None


def read_segments(path: Path, series_uid: str) -> Iterator[tuple[int, Mark]]:
    """The segments of a DICOM segmentation that have voxels, in order, with their numbers.

    Raises `InputError` if it is no segmentation, refers to another series, is fractional, or its
    frames do not form a volume.
    """
    segmentation = open_segmentation(path, series_uid)
    if segmentation.number_of_segments > MOST_LABELS:
        count = segmentation.number_of_segments
        raise InputError(
            f"{path}: holds {count} segments, more than {MOST_LABELS}: not a mask of nodules"
        )
    for number in segmentation.segment_numbers:
        try:
            volume = segmentation.get_volume(segment_numbers=[number], combine_segments=True)
        except MemoryError:
            raise
        except Exception as error:  # highdicom raises errors of many kinds
            raise InputError(
                f"{path}: segment {number} cannot be read: {reason_of(error)}"
            ) from error
        # Of a label map, highdicom gives all segments, whichever were asked for.
        voxels = crop(volume.array == number)
        if voxels.mask.size:
            z, y, x = volume.array.shape
            affine = np.asarray(volume.affine, float)
            drawing = drawing_of(voxels, affine, (z, y, x), has_spacing(segmentation))
            label = segmentation.get_segment_description(number).segment_label
            yield number, Mark("nodule", f"segment {number} ({label})", (), drawing=drawing)


def open_segmentation(path: Path, series_uid: str) -> Segmentation:
    """A DICOM segmentation of this series. Raises `InputError` as `read_segments`."""
    check_segmentation(path, series_uid)
    from highdicom.seg import segread

    try:
        segmentation = segread(path)
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: a segmentation that cannot be read: {reason_of(error)}"
        ) from error
    check_frames(segmentation, path)
    return segmentation


def check_segmentation(path: Path, series_uid: str) -> None:
    """Raise `InputError` if a file is no DICOM segmentation of this series, by its header."""
    try:
        header = read_header(path, HEADER)
    except NotDicom:
        known = " ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: neither a DICOM file nor an image ({known})") from None
    if header.get("SOPClassUID") not in SEGMENTATIONS:
        kind = text_of(header, "Modality", path) or "unknown"
        raise InputError(f"{path}: a DICOM file of modality {kind}, not a segmentation (SEG)")
    if text_of(header, "SegmentationType", path) == "FRACTIONAL":
        raise InputError(f"{path}: a fractional segmentation: save it as a binary one")
    if not text_of(header, FRAME, path):
        raise InputError(f"{path}: has no {FRAME}")
    referred = {str(one.SeriesInstanceUID) for one in header.get("ReferencedSeriesSequence", [])}
    if not referred:
        raise InputError(f"{path}: does not name the series that it was drawn on")
    if other := sorted(referred - {series_uid}):
        raise InputError(f"{path}: refers to series {other[0]}, not to {series_uid}")


def check_frames(segmentation: Segmentation, path: Path) -> None:
    """Raise `InputError` if a frame was drawn on an image that is not of the referred series."""
    listed = {
        image.ReferencedSOPInstanceUID
        for series in segmentation.ReferencedSeriesSequence
        for image in series.get("ReferencedInstanceSequence", [])
    }
    for number, frame in enumerate(segmentation.get("PerFrameFunctionalGroupsSequence", []), 1):
        for derived in frame.get("DerivationImageSequence", []):
            for image in derived.get("SourceImageSequence", []):
                if listed and image.ReferencedSOPInstanceUID not in listed:
                    raise InputError(f"{path}: frame {number} refers to an image of another series")


def has_spacing(segmentation: Segmentation) -> bool:
    """Whether a segmentation gives the step between its slices; frames without voxels may be
    left out, so their positions do not tell it.
    """
    shared = segmentation.get("SharedFunctionalGroupsSequence", [])
    frames = segmentation.get("PerFrameFunctionalGroupsSequence", [])
    measures = [
        m for group in (*shared, *frames[:1]) for m in group.get("PixelMeasuresSequence", [])
    ]
    return any("SpacingBetweenSlices" in measure for measure in measures)
