"""Where a mark lies in the stack of DICOM images: slices of its ROIs, voxel index of a point."""

import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations.records import Mark, Session, SliceGeometry
from nodulenet.files import InputError
from nodulenet.settings import ZRule

# Positions are written with three to six decimals and may differ from the headers' by as much.
TOLERANCE_MM = 0.01


def roi_slices(
    mark: Mark, geometry: SliceGeometry, z: ZRule = "nearest", where: str = "mark"
) -> NDArray[np.intp]:
    """Array index of the slice of every ROI of a mark, shape (n_rois,).

    `nearest` takes the slice nearest in z; `truncate` is the released code's rule: the offset
    from the first slice divided by the distance of the first two, truncated to an integer. Under
    either rule an ROI must lie within half a slice (half the smaller gap at the nearest slice)
    of a slice. Raises `InputError` starting with `where` and naming the ROI otherwise.
    """
    roi_z = np.array([roi.z for roi in mark.rois])
    distance = np.abs(roi_z[:, None] - geometry.z[None, :])
    nearest = distance.argmin(axis=1)
    off = distance[np.arange(len(roi_z)), nearest]
    # Nearly every outline lies on a slice: the gaps are rarely needed.
    far = off > TOLERANCE_MM
    if far.any():
        far = off > _half_gap(geometry.z)[nearest] + TOLERANCE_MM
    if far.any():
        roi = int(far.argmax())
        raise InputError(
            f"{where}, ROI {roi + 1}: z = {roi_z[roi]:g} mm lies {off[roi]:.3f} mm from the nearest"
            f" slice (of {len(geometry.z)} slices from {geometry.z[0]:g} to {geometry.z[-1]:g} mm)"
        )
    if z == "nearest" or len(geometry.z) == 1:
        return nearest
    steps = (roi_z - geometry.z[0]) / (geometry.z[1] - geometry.z[0])
    return np.clip(np.trunc(steps).astype(np.intp), 0, len(geometry.z) - 1)


def point_index(mark: Mark, geometry: SliceGeometry) -> tuple[float, float, float]:
    """Voxel index (z, y, x) of a small nodule or non-nodule: the mean of its points.

    z is interpolated between the slices and extrapolated beyond the ends: a point mark of another
    series of the patient (LIDC-IDRI has a file with such sessions) keeps its position in the world
    outside the scan.
    """
    points = np.array(
        [(_fractional(roi.z, geometry.z), y, x) for roi in mark.rois for x, y in roi.vertices]
    )
    z, y, x = points.mean(axis=0)
    return float(z), float(y), float(x)


def points_off_scan(sessions: tuple[Session, ...], geometry: SliceGeometry) -> tuple[str, ...]:
    """One line for every small nodule or non-nodule that lies outside the scan, for the log."""
    lines = []
    limits = np.array([len(geometry.z), *geometry.shape])
    for number, session in enumerate(sessions, 1):
        for mark in session.marks:
            if mark.kind == "nodule":
                continue
            index = np.array(point_index(mark, geometry))
            if (index < -0.5).any() or (index > limits - 0.5).any():
                at = ", ".join(f"{value:.1f}" for value in index)
                place = f"session {number}, {mark.kind} {mark.mark_id!r}"
                lines.append(f"{place}: index (z, y, x) = ({at}) is outside the scan")
    return tuple(lines)


def _half_gap(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of the smaller gap to a neighbour of every slice, in mm; 0.5 for a single slice."""
    if len(z) == 1:
        return np.array([0.5])
    gaps = np.abs(np.diff(z))
    return np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps)) / 2


def _fractional(value: float, z: NDArray[np.float64]) -> float:
    if len(z) == 1:
        return value - float(z[0])
    rising = 1.0 if z[-1] > z[0] else -1.0
    low = int(np.clip(np.searchsorted(z * rising, value * rising) - 1, 0, len(z) - 2))
    return low + float((value - z[low]) / (z[low + 1] - z[low]))
