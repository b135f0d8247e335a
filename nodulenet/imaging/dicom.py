"""A DICOM series: its slices in order, in HU, with gaps and doubles named.

pydicom is imported where a file is opened: it is slow to import and most scans are no DICOM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nodulenet.files import InputError, require_uid
from nodulenet.imaging.itk import as_hu
from nodulenet.imaging.volume import Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

HEADER_TAGS = (
    "SOPClassUID",
    "Modality",
    "PatientID",
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
)
RESCALE = {"Slope": 1, "Intercept": 0}
LARGE = 1 << 15  # times a stored value of 16 bits it still is an int32


@dataclass(frozen=True, eq=False)
class Slice:
    """The header of one CT slice.

    position: LPS (x, y, z) in mm of the first pixel. axes: direction cosines (2, 3) of a row's
    and of a column's pixels, as in ImageOrientationPatient. spacing: (y, x) in mm.
    """

    path: Path
    series_uid: str
    patient_id: str | None
    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: NDArray[np.float64]
    shape: tuple[int, int]
    thickness: float | None


def read_dicom(folder: Path, series_uid: str | None = None) -> Volume:
    """Read the one CT series of a folder, or the one with this UID.

    Returns HU (z, y, x), slices sorted by their position along the normal, z rising (for an
    axial scan). Raises `InputError` for two series without a choice, an unreadable slice,
    slices that differ in shape, orientation or spacing, doubled or missing positions and a
    tilted gantry, naming the files.
    """
    slices, affine = sorted_slices(folder, series_uid)
    return Volume(_stacked([_pixels(item) for item in slices]), affine)


def sorted_slices(
    folder: Path, series_uid: str | None = None
) -> tuple[list[Slice], NDArray[np.float64]]:
    """The headers of a series' slices in order, and the affine of the volume they make.

    Raises `InputError` as `read_dicom` does, pixels apart.
    """
    slices = _chosen(folder, series_uid)
    _check_alike(folder, slices)
    slices, heights = _in_order(slices)
    return slices, _affine(folder, slices, heights)


def read_header(path: Path, series_uid: str | None = None) -> Slice | str:
    """Read the header of one CT slice; of another series than this one, only its UID.

    Raises `InputError` naming the file if it is no CT slice or lacks a field.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(HEADER_TAGS))
        found = str(header.get("SeriesInstanceUID") or "")
        if series_uid and found and found != series_uid:
            return found
        return _slice(path, header)
    except InvalidDicomError as error:
        raise InputError(f"{path}: not a DICOM file") from error
    except (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(f"{path}: bad DICOM header: {str(error).splitlines()[0]}") from error


def _slice(path: Path, header: Dataset) -> Slice:
    modality = header.get("Modality")
    if modality != "CT":
        raise InputError(f"{path}: its modality is {modality or 'unknown'}, not CT")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise InputError(f"{path}: multi-frame DICOM is not read")
    if int(header.get("SamplesPerPixel") or 1) > 1:
        raise InputError(f"{path}: a colour image, not a CT slice")
    for tag in ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient",
                "PixelSpacing", "Rows", "Columns"):  # fmt: skip
        if header.get(tag) in (None, ""):
            raise InputError(f"{path}: has no {tag}")
    thickness = header.get("SliceThickness")
    return Slice(
        path=path,
        series_uid=require_uid(str(header.SeriesInstanceUID), path),
        patient_id=str(header.get("PatientID") or "") or None,
        position=np.array(header.ImagePositionPatient, float).reshape(3),
        axes=np.array(header.ImageOrientationPatient, float).reshape(2, 3),
        spacing=np.array(header.PixelSpacing, float).reshape(2),
        shape=(int(header.Rows), int(header.Columns)),
        thickness=float(thickness) if thickness not in (None, "") else None,
    )


def is_dicom(path: Path) -> bool:
    """Whether a file claims to be DICOM: by its suffix or by the mark after its preamble.

    Raises `InputError` if it cannot be opened.
    """
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, sorted, without the directory of a medium (DICOMDIR)."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name.upper() != "DICOMDIR" and is_dicom(path)
    ]


def _chosen(folder: Path, series_uid: str | None) -> list[Slice]:
    files = dicom_files(folder)
    if not files:
        raise InputError(f"{folder}: holds no DICOM file")
    headers = [read_header(path, series_uid) for path in files]
    slices = [header for header in headers if isinstance(header, Slice)]
    found = sorted({item.series_uid for item in slices})
    if len(found) > 1:
        raise InputError(f"{folder}: holds {len(found)} series, name one of {', '.join(found)}")
    if not slices:
        others = sorted({str(header) for header in headers})
        raise InputError(f"{folder}: holds no series {series_uid}, but {', '.join(others)}")
    return slices


def _check_alike(folder: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for item in slices[1:]:
        for what, a, b in (
            ("shape", item.shape, first.shape),
            ("orientation", item.axes, first.axes),
            ("pixel spacing", item.spacing, first.spacing),
        ):
            if not np.allclose(a, b, atol=1e-4, rtol=1e-4):
                raise InputError(
                    f"{folder}: {item.path.name} and {first.path.name} differ in {what}: "
                    f"{np.ravel(a).tolist()} and {np.ravel(b).tolist()}"
                )


def _in_order(slices: Sequence[Slice]) -> tuple[list[Slice], NDArray[np.float64]]:
    """Slices sorted along the normal such that its largest component rises, with heights."""
    normal = np.cross(*slices[0].axes)
    normal /= np.linalg.norm(normal) * np.sign(normal[np.abs(normal).argmax()])
    heights = np.array([item.position @ normal for item in slices])
    order = np.argsort(heights, kind="stable")
    return [slices[i] for i in order], heights[order]


def _affine(
    folder: Path, slices: Sequence[Slice], heights: NDArray[np.float64]
) -> NDArray[np.float64]:
    first, last = slices[0], slices[-1]
    along_x, along_y = first.axes / np.linalg.norm(first.axes, axis=1, keepdims=True)
    normal = np.cross(along_x, along_y)
    normal *= np.sign(normal[np.abs(normal).argmax()])
    if len(slices) > 1:
        _check_heights(folder, slices, heights)
        step = (heights[-1] - heights[0]) / (len(slices) - 1)
    elif first.thickness:
        step = first.thickness
    else:
        raise InputError(f"{folder}: a single slice without a SliceThickness")
    drift = last.position - first.position - (heights[-1] - heights[0]) * normal
    if np.linalg.norm(drift) > first.spacing.min():
        raise InputError(
            f"{folder}: tilted gantry: {first.path.name} and {last.path.name} are shifted by "
            f"{np.linalg.norm(drift):.1f} mm in the plane of the slices"
        )
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    affine[:3, 1] = along_y * first.spacing[0]
    affine[:3, 2] = along_x * first.spacing[1]
    affine[:3, 3] = first.position
    return affine


def _check_heights(folder: Path, slices: Sequence[Slice], heights: NDArray[np.float64]) -> None:
    """Refuse doubled and missing positions; positions rounded by a quarter of a step pass."""
    steps = np.diff(heights)
    usual = float(np.median(steps))
    for step, a, b, height in zip(steps, slices, slices[1:], heights, strict=False):
        between = f"{a.path.name} and {b.path.name}"
        if step < 0.01 or step < 0.1 * usual:
            raise InputError(f"{folder}: {between} lie at the same position, {height:g} mm")
        if step > 1.5 * usual:
            missing = round(step / usual) - 1
            raise InputError(
                f"{folder}: {missing or 'some'} slices missing between {between}: "
                f"{step:g} mm apart at {height:g} mm, the others {usual:g} mm"
            )
    even = np.linspace(heights[0], heights[-1], len(heights))
    worst = int(np.abs(heights - even).argmax())
    if abs(heights[worst] - even[worst]) > 0.25 * usual:
        raise InputError(
            f"{folder}: unevenly spaced slices: {slices[worst].path.name} lies "
            f"{abs(heights[worst] - even[worst]):g} mm off its place, steps {usual:g} mm"
        )


def _pixels(item: Slice) -> NDArray:
    """HU of one slice, (y, x): stored values times slope plus intercept."""
    import pydicom

    try:
        data = pydicom.dcmread(item.path)
        if _by_itk(data):
            return as_hu(sitk.GetArrayFromImage(sitk.ReadImage(str(item.path)))[0])
        stored = data.pixel_array
    except (OSError, EOFError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{item.path}: its pixels cannot be read: {reason}") from error
    slope, intercept = (_number(item.path, data, f"Rescale{name}") for name in RESCALE)
    if slope == 0:
        raise InputError(f"{item.path}: its RescaleSlope is 0")
    if slope.is_integer() and intercept.is_integer() and abs(slope) + abs(intercept) < LARGE:
        return as_hu(stored.astype(np.int32) * int(slope) + int(intercept))
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _number(path: Path, data: Dataset, name: str) -> float:
    """A finite number of a header, or what the standard says where it has none."""
    value = data.get(name, RESCALE[name.removeprefix("Rescale")])
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{path}: its {name} is no number: {value}")
    return number


def _by_itk(data: Dataset) -> bool:
    """Whether pydicom needs extra packages for a slice: SimpleITK has those decoders built in."""
    from pydicom import uid

    jpeg = (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes, *uid.JPEG2000TransferSyntaxes)
    return data.file_meta.TransferSyntaxUID in jpeg


def _stacked(planes: Sequence[NDArray]) -> NDArray:
    """Stack slices, as float32 if any of them needs it."""
    kind = np.result_type(*(plane.dtype for plane in planes))
    return np.stack([plane.astype(kind, copy=False) for plane in planes])
