"""What one file is to a CT series: slices of it, something else, or an unusable CT image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError, opening, require_uid
from nodulenet.imaging.dicom_header import (
    PER_FRAME,
    SHARED,
    Frame,
    NotDicom,
    axes_of,
    count_of,
    frames_of,
    hint_of,
    number_of,
    numbers_of,
    read_header,
    text_of,
    texts_of,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

HEADER_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImageType"),
    *("PatientID", "InstanceNumber", "AcquisitionNumber", "ImagesInAcquisition"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType"),
    *(SHARED, PER_FRAME),
)
SUFFIXES = (".dcm", ".ima")
CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image Storage",
}
# Modified HU count as HU; many programs write "unspecified" (US) for HU.
HU_TYPES = ("", "HU", "HU_MOD", "US")
LOCALIZER = "a localizer"


@dataclass(frozen=True, eq=False, slots=True)
class Slice:
    """The header of one CT slice: a file, or a frame of one.

    frame: from 0, None if the file is the slice. position: LPS (x, y, z) of the first pixel in mm.
    axes: unit vectors (2, 3) along a row's and along a column's pixels. spacing: (y, x) in mm.
    thickness: mm. HU = slope x stored value + intercept. number, acquisition, expected:
    InstanceNumber, AcquisitionNumber and ImagesInAcquisition. None: missing or invalid.
    """

    path: Path
    frame: int | None
    series_uid: str
    sop_uid: str
    patient_id: str | None
    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: NDArray[np.float64]
    shape: tuple[int, int]
    thickness: float | None
    slope: float
    intercept: float
    number: int | None
    acquisition: int | None
    expected: int | None

    def name(self, folder: Path | None = None) -> str:
        """The file (relative to `folder` if that is above it) and the frame, from 1, if any."""
        inside = folder is not None and self.path.is_relative_to(folder)
        path = str(self.path.relative_to(folder) if folder and inside else self.path)
        return path if self.frame is None else f"{path} frame {self.frame + 1}"


@dataclass(frozen=True)
class InspectedFile:
    """What a file is.

    slices: its CT slices. skipped: why it, or some of its frames, are not CT slices. fault: the
    whole error message for a CT image that cannot be used. series_uid: None if not known.
    """

    path: Path
    series_uid: str | None = None
    slices: tuple[Slice, ...] = ()
    skipped: str = ""
    fault: str = ""
    number: int | None = None


def inspect_file(path: Path, series_uid: str | None = None) -> InspectedFile:
    """Tell from its header what a file is. Files of other series than `series_uid` are skipped."""
    if not path.is_file():
        if path.is_symlink() and not path.exists():
            return InspectedFile(path, fault=f"{path}: a broken symbolic link")
        return InspectedFile(path, skipped="not a file")
    found = None
    try:
        if not claims_dicom(path):
            return InspectedFile(path, skipped="not an image of a known format")
        header = read_header(path, HEADER_TAGS)
        named = text_of(header, "SeriesInstanceUID", path)
        found = require_uid(named, path) if named else None
        if series_uid and found and found != series_uid:
            return InspectedFile(path, found, skipped="another series")
        return _inspect_image(path, header, found)
    except NotDicom:
        return InspectedFile(path, skipped="not a DICOM file")
    except InputError as error:
        return InspectedFile(path, found, fault=str(error))


def claims_dicom(path: Path) -> bool:
    """Whether a file claims to be DICOM: by its suffix or by the prefix after its preamble.

    Raises `InputError` if it cannot be opened.
    """
    if path.suffix.lower() in SUFFIXES:
        return True
    with opening(path), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _inspect_image(path: Path, header: Dataset, found: str | None) -> InspectedFile:
    number = hint_of(header, "InstanceNumber", path)
    reason = _why_not_ct(path, header)
    if reason:
        return InspectedFile(path, found, skipped=reason, number=number)
    if not found:
        raise InputError(f"{path}: has no SeriesInstanceUID")
    frames = frames_of(path, header)
    reasons = [_why_not_slice(frame) for frame in frames]
    taken = [frame for frame, why in zip(frames, reasons, strict=True) if not why]
    slices = tuple(_slice(path, header, frame, found) for frame in taken)
    skipped = next(filter(None, reasons), "")
    if skipped and slices:
        skipped = f"{len(frames) - len(taken)} of {len(frames)} frames: {skipped}"
    return InspectedFile(path, found, slices, skipped, number=number)


def _why_not_ct(path: Path, header: Dataset) -> str:
    """Why a file is not a CT image, or "": by its SOP class or, if that is unknown, its modality.

    Raises `InputError` if the two contradict each other or a CT image has colours, as a damaged
    slice may.
    """
    from pydicom.uid import UID_dictionary

    kind = text_of(header, "SOPClassUID", path)
    kind = kind or text_of(header.file_meta, "MediaStorageSOPClassUID", path)
    modality = text_of(header, "Modality", path)
    if kind in CT_CLASSES:
        if modality != "CT":
            raise InputError(
                f"{path}: its modality is {modality or 'unknown'}, not CT, though its SOPClassUID"
                f" says {CT_CLASSES[kind]}"
            )
    elif kind in UID_dictionary:
        return f"{UID_dictionary[kind][0]}, not a CT image"
    elif modality != "CT":
        return f"its modality is {modality or 'unknown'}, not CT"
    if count_of(header, "SamplesPerPixel", path, 1) > 1:
        raise InputError(f"{path}: a colour image (SamplesPerPixel), not a CT slice")
    return ""


def _why_not_slice(frame: Frame) -> str:
    """Why a frame is not a slice of a CT volume in HU, or ""."""
    if "LOCALIZER" in texts_of(frame.kind, frame.kind_tag, frame.where):
        return LOCALIZER
    unit = text_of(frame.values, "RescaleType", frame.where)
    return "" if unit in HU_TYPES else f"its values are {unit} (RescaleType), not HU"


def _slice(path: Path, header: Dataset, frame: Frame, series_uid: str) -> Slice:
    where = frame.where
    slope = number_of(frame.values, "RescaleSlope", where, 1)
    if slope <= 0:
        raise InputError(f"{where}: its RescaleSlope is not above 0: {slope:g}")
    return Slice(
        path=path,
        frame=frame.index,
        series_uid=series_uid,
        sop_uid=text_of(header, "SOPInstanceUID", path),
        patient_id=text_of(header, "PatientID", path) or None,
        position=np.array(numbers_of(frame.plane, "ImagePositionPatient", where, 3)),
        axes=axes_of(frame.orientation, where),
        spacing=np.array(numbers_of(frame.measures, "PixelSpacing", where, 2)),
        shape=(count_of(header, "Rows", path), count_of(header, "Columns", path)),
        thickness=_thickness(frame),
        slope=slope,
        intercept=number_of(frame.values, "RescaleIntercept", where, 0),
        number=hint_of(header, "InstanceNumber", path),
        acquisition=hint_of(header, "AcquisitionNumber", path),
        expected=hint_of(header, "ImagesInAcquisition", path),
    )


def _thickness(frame: Frame) -> float | None:
    """None if missing or invalid, as in many headers: only a single-slice scan needs it."""
    try:
        return number_of(frame.measures, "SliceThickness", frame.where)
    except InputError:
        return None


def join_names(slices: Sequence[Slice], folder: Path) -> str:
    """Two or more slices, for a message."""
    return " and ".join(item.name(folder) for item in slices)
