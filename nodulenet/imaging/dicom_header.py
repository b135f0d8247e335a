"""DICOM headers through one guarded reader; every number is checked where it is read.

What pydicom raises for a damaged file depends on the damage. Here all of it becomes an
`InputError` that names the file, and for a value also its tag. pydicom is imported where a file
is opened: it is slow to import and most scans are no DICOM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import REASON_LENGTH, InputError, reason_of
from nodulenet.numerals import to_number

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# As DICOM writes numbers: Python would also take 1_0, infinity and digits of other scripts.
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


class NotDicom(InputError):
    """The file is of another kind, whatever its name says."""


def read_header(path: Path, tags: Sequence[str] | None = None) -> Dataset:
    """The header of a DICOM file as far as its pixels, or these tags of it.

    Raises `NotDicom` for a file without DICOM's mark, `InputError` for one that cannot be read.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=None if tags is None else list(tags)
        )
    except InvalidDicomError as error:
        raise NotDicom(f"{path}: not a DICOM file") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(f"{path}: bad DICOM header: {reason_of(error)}") from error


def value_of(data: Dataset, tag: str, where: object) -> Any:
    """What a header holds under a tag, None where that is absent or empty.

    where: file (and frame) for the error. Raises `InputError` if the value cannot be decoded.
    """
    try:
        value = data[tag].value if tag in data else None
        empty = isinstance(value, Sized) and len(value) == 0
        return None if empty else value
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(f"{where}: bad {tag}: {reason_of(error)}") from error


def text_of(data: Dataset, tag: str, where: object) -> str:
    """A text of a header without blanks at its ends, "" where there is none."""
    value = value_of(data, tag, where)
    return "" if value is None else str(value).strip()


def texts_of(data: Dataset, tag: str, where: object) -> list[str]:
    """The parts of a text of several, such as ImageType."""
    value = value_of(data, tag, where)
    if value is None:
        return []
    parts = [value] if isinstance(value, str | bytes) else value
    return [str(part).strip() for part in parts]


def numbers_of(data: Dataset, tag: str, where: object, count: int) -> tuple[float, ...]:
    """The `count` finite numbers of a tag, within LIMITS.

    Raises `InputError` naming file and tag where they are not there or are no such numbers.
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
            raise InputError(f"{where}: its {tag} is no number: {shown}")
        if not low <= number <= high:
            raise InputError(f"{where}: its {tag} is not within {low:g} and {high:g}: {shown}")
    return numbers


def number_of(data: Dataset, tag: str, where: object, default: float | None = None) -> float:
    """The one number of a tag; `default` where the tag is absent (not where it is empty)."""
    if default is not None and tag not in data:
        return float(default)
    return numbers_of(data, tag, where, 1)[0]


def count_of(data: Dataset, tag: str, where: object, default: int | None = None) -> int:
    """The one whole number of a tag; `default` where the tag is absent."""
    number = number_of(data, tag, where, default)
    if not number.is_integer():
        raise InputError(f"{where}: its {tag} is no whole number: {number:g}")
    return int(number)


def hint_of(data: Dataset, tag: str, where: object) -> int | None:
    """A whole number on which no voxel depends: None for anything else."""
    try:
        number = _decimal(value_of(data, tag, where))
    except InputError:
        return None
    return int(number) if math.isfinite(number) and number.is_integer() else None


def axes_of(data: Dataset, where: object) -> NDArray[np.float64]:
    """ImageOrientationPatient as unit vectors at right angles, (2, 3): along a row, a column.

    What is rounded (to SKEW) is made exact. Raises `InputError` for anything else.
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
    """A number as DICOM writes it, NaN for anything else."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    try:
        return to_number(text.strip())
    except ValueError:
        return math.nan
