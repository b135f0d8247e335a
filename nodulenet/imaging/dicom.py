"""A DICOM series as a volume: its slices in order, in HU, with gaps and doubles named."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.dicom_ends import missing_ends
from nodulenet.imaging.dicom_pixels import read_pixels
from nodulenet.imaging.dicom_series import Series, read_series, told
from nodulenet.imaging.dicom_slices import Slice, names
from nodulenet.imaging.volume import Volume

TAG = " (ImagePositionPatient)"
log = logging.getLogger(__name__)


def read_dicom(folder: Path, series_uid: str | None = None) -> Volume:
    """Read the one CT series at and below a folder, or the one with this UID.

    Returns HU (z, y, x), slices sorted by their position along the normal, z rising (for an
    axial scan). What is odd and no fault is in its notes and, with the files passed over, logged
    as a warning. Raises `InputError` for two
    series without a choice, an unreadable slice, slices that differ in shape, orientation or
    spacing, doubled or missing positions and a tilted gantry, naming the files.
    """
    series = read_series(folder, series_uid)
    slices, affine = arranged(series)
    notes = tuple(remarks(series, slices))
    for line in (*notes, *(f"passed over {line}" for line in told(series.passed))):
        log.warning("%s: series %s: %s", folder, series.series_uid, line)
    return Volume(read_pixels(slices), affine, notes)


def sorted_slices(
    folder: Path, series_uid: str | None = None
) -> tuple[list[Slice], NDArray[np.float64]]:
    """The headers of a series' slices in order, and the affine of the volume they make.

    Raises `InputError` as `read_dicom` does, pixels apart.
    """
    return arranged(read_series(folder, series_uid))


def arranged(series: Series) -> tuple[list[Slice], NDArray[np.float64]]:
    """The slices of a series in order, and the affine of the volume they make.

    Raises `InputError` where they make none.
    """
    _check_alike(series.folder, series.slices)
    slices, heights = _in_order(series.slices)
    return slices, _affine(series.folder, slices, heights)


def remarks(series: Series, slices: Sequence[Slice]) -> list[str]:
    """What is odd about a series that makes a volume, slices in order: a line for each."""
    lines = missing_ends(series, slices)
    if count := len(series.copies):
        lines.append(f"{count} file{'s are copies' if count > 1 else ' is a copy'} of others")
    return lines


def _check_alike(folder: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for item in slices[1:]:
        if item.patient_id != first.patient_id:
            both = f"{folder}: {names((item, first), folder)} differ in PatientID"
            raise InputError(f"{both}: {item.patient_id} and {first.patient_id}")
    for what, values in (
        ("shape (Rows, Columns)", [item.shape for item in slices]),
        ("orientation (ImageOrientationPatient)", [item.axes for item in slices]),
        ("pixel spacing (PixelSpacing)", [item.spacing for item in slices]),
    ):
        numbers = np.array(values, float).reshape(len(slices), -1)
        unlike = ~np.isclose(numbers, numbers[0], atol=1e-4, rtol=1e-4).all(axis=1)
        if unlike.any():
            at = int(unlike.argmax())
            both = f"{folder}: {names((slices[at], first), folder)} differ in {what}"
            raise InputError(f"{both}: {numbers[at].tolist()} and {numbers[0].tolist()}")


def _in_order(slices: Sequence[Slice]) -> tuple[list[Slice], NDArray[np.float64]]:
    """Slices sorted along the normal such that its largest component rises, with heights."""
    normal = np.cross(*slices[0].axes)
    normal *= np.sign(normal[np.abs(normal).argmax()])
    heights = np.array([item.position for item in slices]) @ normal
    order = np.argsort(heights, kind="stable")
    return [slices[i] for i in order], heights[order]


def _affine(
    folder: Path, slices: Sequence[Slice], heights: NDArray[np.float64]
) -> NDArray[np.float64]:
    first = slices[0]
    along_x, along_y = first.axes
    normal = np.cross(along_x, along_y)
    normal *= np.sign(normal[np.abs(normal).argmax()])
    if len(slices) > 1:
        _check_heights(folder, slices, heights)
        step = (heights[-1] - heights[0]) / (len(slices) - 1)
    elif first.thickness:
        step = first.thickness
    else:
        raise InputError(f"{first.path}: a single slice, and its SliceThickness is no thickness")
    _check_drift(folder, slices, heights, normal * step)
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    affine[:3, 1] = along_y * first.spacing[0]
    affine[:3, 2] = along_x * first.spacing[1]
    affine[:3, 3] = first.position
    return affine


def _check_drift(
    folder: Path, slices: Sequence[Slice], heights: NDArray[np.float64], step: NDArray[np.float64]
) -> None:
    """Refuse slices that do not lie above the first one, by more than a pixel."""
    normal = step / np.linalg.norm(step)
    above = np.array([item.position for item in slices]) - slices[0].position
    drift = np.linalg.norm(above - (heights - heights[0])[:, None] * normal, axis=1)
    worst = int(drift.argmax())
    if drift[worst] > slices[0].spacing.min():
        both = names((slices[0], slices[worst]), folder)
        raise InputError(
            f"{folder}: tilted gantry or a shifted slice: {both} lie"
            f" {drift[worst]:.1f} mm apart in the plane of the slices{TAG}"
        )


def _check_heights(folder: Path, slices: Sequence[Slice], heights: NDArray[np.float64]) -> None:
    """Refuse doubled and missing positions; positions rounded by a quarter of a step pass."""
    steps = np.diff(heights)
    usual = float(np.median(steps))
    close = (steps < 0.01) | (steps < 0.1 * usual)
    if (bad := close | (steps > 1.5 * usual)).any():
        at = int(bad.argmax())
        between = names(slices[at : at + 2], folder)
        if close[at]:
            raise InputError(
                f"{folder}: {between} lie at the same position, {heights[at]:g} mm{TAG}"
            )
        missing = round(steps[at] / usual) - 1
        what = f"{missing} slice{'s' * (missing > 1)}" if missing else "some slices"
        raise InputError(
            f"{folder}: {what} missing between {between}: "
            f"{steps[at]:g} mm apart at {heights[at]:g} mm, the others {usual:g} mm{TAG}"
        )
    even = np.linspace(heights[0], heights[-1], len(heights))
    worst = int(np.abs(heights - even).argmax())
    if abs(heights[worst] - even[worst]) > 0.25 * usual:
        raise InputError(
            f"{folder}: unevenly spaced slices: {slices[worst].name(folder)} lies "
            f"{abs(heights[worst] - even[worst]):g} mm off its place, steps {usual:g} mm{TAG}"
        )
