"""A DICOM series as a volume in HU: slices in order; gaps, duplicates, missing ends reported."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.dicom_pixels import read_pixels
from nodulenet.imaging.dicom_series import Series, localizers, read_series, skip_reasons
from nodulenet.imaging.dicom_slices import Slice, join_names
from nodulenet.imaging.volume import Volume

TAG = " (ImagePositionPatient)"
log = logging.getLogger(__name__)


def read_dicom(folder: Path, series_uid: str | None = None) -> Volume:
    """Read the only CT series at or below a folder, or the one with this UID.

    Returns HU (z, y, x), the slices sorted by their position along the normal, z rising (for an
    axial scan). Oddities that are not errors are in its notes and, like the skipped files, logged
    as warnings. Raises `InputError` naming the files: as `read_series` and `arrange`, and for
    pixels that cannot be read.
    """
    series = read_series(folder, series_uid)
    slices, affine = arrange(series)
    notes = tuple(remarks(series, slices))
    for line in (*notes, *(f"skipped {line}" for line in skip_reasons(series.skipped))):
        log.warning("%s: series %s: %s", folder, series.series_uid, line)
    return Volume(read_pixels(slices), affine, notes)


def arrange(series: Series) -> tuple[list[Slice], NDArray[np.float64]]:
    """The slices of a series along their normal, and the affine of the volume they form.

    The largest component of the normal rises. Raises `InputError` naming the files: slices that
    differ in shape, orientation or spacing, duplicate or missing positions, a tilted gantry.
    """
    _check_alike(series.folder, series.slices)
    along_x, along_y = series.slices[0].axes
    normal = np.cross(along_x, along_y)
    normal *= np.sign(normal[np.abs(normal).argmax()])
    heights = np.array([item.position for item in series.slices]) @ normal
    order = np.argsort(heights, kind="stable")
    slices, heights = [series.slices[i] for i in order], heights[order]
    first = slices[0]
    if len(slices) > 1:
        _check_heights(series.folder, slices, heights)
        step = (heights[-1] - heights[0]) / (len(slices) - 1)
    elif first.thickness:
        step = first.thickness
    else:
        raise InputError(f"{first.path}: a single slice without a usable SliceThickness")
    _check_drift(series.folder, slices, heights, normal * step)
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    affine[:3, 1] = along_y * first.spacing[0]
    affine[:3, 2] = along_x * first.spacing[1]
    affine[:3, 3] = first.position
    return slices, affine


def remarks(series: Series, slices: Sequence[Slice]) -> list[str]:
    """Oddities of a series that forms a volume, one line each; slices: in order.

    Among them are signs that a first or last slice is missing, where the check for gaps sees
    nothing. None is proof: ImagesInAcquisition counts where all slices are of one acquisition,
    InstanceNumbers where they number the slices without gaps. These should begin at 0 or 1, or
    after those of the series' localizers.
    """
    lines = [line for line in (_by_acquisition(slices), _by_numbers(series, slices)) if line]
    if count := len(series.copies):
        lines.append(f"{count} file{'s are copies' if count > 1 else ' is a copy'} of others")
    return lines


def _by_acquisition(slices: Sequence[Slice]) -> str:
    acquisitions = {(item.acquisition, item.expected) for item in slices}
    expected = slices[0].expected or 0
    if len(acquisitions) > 1 or expected <= len(slices) or slices[0].frame is not None:
        return ""
    return (
        f"it has {len(slices)} slices, its ImagesInAcquisition is {expected}:"
        " slices may be missing at its ends"
    )


def _by_numbers(series: Series, slices: Sequence[Slice]) -> str:
    numbers = [item.number for item in slices if item.number is not None]
    steps = np.unique(np.diff(numbers)).tolist()
    if len(numbers) < len(slices) or steps not in ([1], [-1]):
        return ""
    least = min(numbers)
    before = set(range(1, least)) - localizers(series)
    if not before:
        return ""
    first = slices[numbers.index(least)]
    return (
        f"its InstanceNumbers begin at {least} ({first.name(series.folder)}):"
        f" {len(before)} slice{'s' * (len(before) > 1)} may be missing at that end"
    )


def _check_alike(folder: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for item in slices[1:]:
        if item.patient_id != first.patient_id:
            both = f"{folder}: {join_names((item, first), folder)} differ in PatientID"
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
            both = f"{folder}: {join_names((slices[at], first), folder)} differ in {what}"
            raise InputError(f"{both}: {numbers[at].tolist()} and {numbers[0].tolist()}")


def _check_drift(
    folder: Path, slices: Sequence[Slice], heights: NDArray[np.float64], step: NDArray[np.float64]
) -> None:
    """Refuse slices more than a pixel away from the line along the normal through the first."""
    normal = step / np.linalg.norm(step)
    above = np.array([item.position for item in slices]) - slices[0].position
    drift = np.linalg.norm(above - (heights - heights[0])[:, None] * normal, axis=1)
    worst = int(drift.argmax())
    if drift[worst] > slices[0].spacing.min():
        both = join_names((slices[0], slices[worst]), folder)
        raise InputError(
            f"{folder}: tilted gantry or a shifted slice: {both} lie"
            f" {drift[worst]:.1f} mm apart in the plane of the slices{TAG}"
        )


def _check_heights(folder: Path, slices: Sequence[Slice], heights: NDArray[np.float64]) -> None:
    """Refuse duplicate and missing positions; allow for rounding by a quarter of a step."""
    steps = np.diff(heights)
    usual = float(np.median(steps))
    close = (steps < 0.01) | (steps < 0.1 * usual)
    if (bad := close | (steps > 1.5 * usual)).any():
        at = int(bad.argmax())
        between = join_names(slices[at : at + 2], folder)
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
