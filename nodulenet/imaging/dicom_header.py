"""DICOM headers: one guarded reader, checked numbers, and the geometry of the frames.

What pydicom raises for a damaged file depends on the damage. Here all of it becomes an
`InputError` that names the file and, for a value, its tag. pydicom is imported where a file is
opened: it is slow to import and most scans are not DICOM.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import REASON_LENGTH, InputError, opening, reason_of
from nodulenet.numerals import number_or_nan

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# The least and the largest value that a scan of a body can have, in mm, HU or pixels.
LIMITS = {
    "ImagePositionPatient": (-1e5, 1e5),
    "ImageOrientationPatient": (-1.001, 1.001),
    "PixelSpacing": (1e-3, 100.0),
    "SliceThickness": (1e-3, 1000.0),
    "Rows": (1, 65535),
    "Columns": (1, 65535),
    "NumberOfFrames": (1, 1 << 20),
    "SamplesPerPixel": (1, 4),
    "BitsAllocated": (8, 32),
    "BitsStored": (8, 32),
    "PixelRepresentation": (0, 1),
    "RescaleSlope": (-1e4, 1e4),
    "RescaleIntercept": (-1e6, 1e6),
}
SKEW = 1e-3  # of unit vectors at right angles: 0.3 mm over 300 mm
FRAME = "FrameOfReferenceUID"
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


class NotDicom(InputError):
    """The file is not DICOM, whatever its name."""


@contextmanager
def guarded(fault: str) -> Iterator[None]:
    """Whatever pydicom raises within becomes an `InputError` that begins with this fault."""
    try:
        yield
    except (MemoryError, InputError):
        raise
    except Exception as error:
        raise InputError(f"{fault}: {reason_of(error)}") from error


def read_header(path: Path, tags: Sequence[str] | None = None) -> Dataset:
    """The header of a DICOM file up to its pixels, or only these tags.

    Raises `NotDicom` for a file without the DICOM prefix, `InputError` for an unreadable one.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    wanted = None if tags is None else list(tags)
    with guarded(f"{path}: bad DICOM header"), opening(path):
        try:
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        except InvalidDicomError as error:
            raise NotDicom(f"{path}: not a DICOM file") from error


def value_of(data: Dataset, tag: str, where: object) -> Any:
    """The value of a tag, None if it is absent or empty.

    where: file (and frame) for the error. Raises `InputError` if the value cannot be decoded.
    """
    with guarded(f"{where}: bad {tag}"):
        value = data[tag].value if tag in data else None
        empty = isinstance(value, Sized) and len(value) == 0
        return None if empty else value


def text_of(data: Dataset, tag: str, where: object) -> str:
    """The stripped text of a tag, "" if there is none."""
    value = value_of(data, tag, where)
    return "" if value is None else str(value).strip()


def texts_of(data: Dataset, tag: str, where: object) -> list[str]:
    """The parts of a multi-valued text such as ImageType."""
    value = value_of(data, tag, where)
    if value is None:
        return []
    parts = [value] if isinstance(value, str | bytes) else value
    return [str(part).strip() for part in parts]


def numbers_of(data: Dataset, tag: str, where: object, count: int) -> tuple[float, ...]:
    """The `count` finite numbers of a tag, within LIMITS.

    Raises `InputError` naming file and tag if they are missing or invalid.
    """
    value = value_of(data, tag, where)
    if value is None:
        raise InputError(f"{where}: has no {tag}")
    parts = list(value) if not isinstance(value, str | bytes) and np.iterable(value) else [value]
    shown = ", ".join(map(str, parts))[:REASON_LENGTH]
    if len(parts) != count:
        raise InputError(f"{where}: its {tag} has {len(parts)} values, not {count}: {shown}")
    low, high = LIMITS[tag]
    numbers = tuple(_decimal(part) for part in parts)
    for number in numbers:
        if not math.isfinite(number):
            raise InputError(f"{where}: its {tag} is not a number: {shown}")
        if not low <= number <= high:
            raise InputError(f"{where}: its {tag} is not within {low:g} and {high:g}: {shown}")
    return numbers


def number_of(data: Dataset, tag: str, where: object, default: float | None = None) -> float:
    """The single number of a tag; `default` if the tag is absent (not if it is empty)."""
    if default is not None and tag not in data:
        return float(default)
    return numbers_of(data, tag, where, 1)[0]


def count_of(data: Dataset, tag: str, where: object, default: int | None = None) -> int:
    """As `number_of`, for an integer."""
    number = number_of(data, tag, where, default)
    if not number.is_integer():
        raise InputError(f"{where}: its {tag} is not an integer: {number:g}")
    return int(number)


def hint_of(data: Dataset, tag: str, where: object) -> int | None:
    """An integer that no voxel depends on: None if it is missing or invalid."""
    try:
        number = _decimal(value_of(data, tag, where))
    except InputError:
        return None
    return int(number) if math.isfinite(number) and number.is_integer() else None


def axes_of(data: Dataset, where: object) -> NDArray[np.float64]:
    """ImageOrientationPatient as unit vectors at right angles, (2, 3): along a row, a column.

    Rounding (up to SKEW) is corrected. Raises `InputError` for anything else.
    """
    tag = "ImageOrientationPatient"
    axes = np.array(numbers_of(data, tag, where, 6)).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if np.abs(lengths - 1).max() > SKEW or abs(axes[0] @ axes[1]) > SKEW:
        shown = ", ".join(f"{value:g}" for value in axes.ravel())
        raise InputError(f"{where}: its {tag} is not two unit vectors at right angles: {shown}")
    first = axes[0] / lengths[0]
    second = axes[1] - (axes[1] @ first) * first
    return np.array([first, second / np.linalg.norm(second)])


def _decimal(value: Any) -> float:
    """A plain decimal number, NaN for anything else."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return number_or_nan(text.strip())


@dataclass(frozen=True, eq=False)
class Frame:
    """The datasets that hold one frame's values; all are the header for a single-frame image.

    index: from 0, None for a single-frame image without functional groups. where: file and frame,
    for messages. plane: has ImagePositionPatient; orientation: ImageOrientationPatient; measures:
    PixelSpacing and SliceThickness; values: rescaling; kind: the image type under `kind_tag`.
    """

    index: int | None
    where: str
    plane: Dataset
    orientation: Dataset
    measures: Dataset
    values: Dataset
    kind: Dataset
    kind_tag: str


def frames_of(path: Path, header: Dataset) -> list[Frame]:
    """The frames of a CT image in the order of its pixels.

    A multi-frame image needs functional groups, shared or per frame (PS3.3 C.7.6.16). Raises
    `InputError` naming file and tag if they are missing or inconsistent.
    """
    count = count_of(header, "NumberOfFrames", path, 1)
    groups = _sequence(header, PER_FRAME, path)
    shared = _sequence(header, SHARED, path)
    if not groups and not shared:
        if count > 1:
            raise InputError(
                f"{path}: multi-frame (NumberOfFrames {count}) without {PER_FRAME}:"
                " the positions of its frames are unknown"
            )
        return [Frame(None, str(path), header, header, header, header, header, "ImageType")]
    if len(groups) != count:
        raise InputError(
            f"{path}: its NumberOfFrames is {count}, {PER_FRAME} has {len(groups)} items"
        )
    return [_frame(path, header, i, [group, *shared[:1]]) for i, group in enumerate(groups)]


def _frame(path: Path, header: Dataset, index: int, groups: list[Dataset]) -> Frame:
    """groups: the frame's own functional groups, then the shared ones."""
    where = f"{path}: frame {index + 1}"

    def macro(name: str) -> Dataset | None:
        items = (item for group in groups for item in _sequence(group, name, where))
        return next(items, None)

    def needed(name: str) -> Dataset:
        item = macro(name)
        if item is None:
            raise InputError(f"{where}: has no {name}")
        return item

    kind = macro("CTImageFrameTypeSequence")
    return Frame(
        index=index,
        where=where,
        plane=needed("PlanePositionSequence"),
        orientation=needed("PlaneOrientationSequence"),
        measures=needed("PixelMeasuresSequence"),
        values=needed("PixelValueTransformationSequence"),
        kind=header if kind is None else kind,
        kind_tag="ImageType" if kind is None else "FrameType",
    )


def _sequence(data: Dataset, tag: str, where: object) -> list[Dataset]:
    from pydicom.sequence import Sequence

    value = value_of(data, tag, where)
    if value is not None and not isinstance(value, Sequence):
        raise InputError(f"{where}: its {tag} is not a sequence")
    return list(value or ())
