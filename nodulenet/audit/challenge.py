"""The challenge's list of excluded findings against the marks of the XML files, row by row.

The challenge merged the marks of a nodule pairwise, in the order of the reading sessions and from
the last: one row for the last mark, one for the mean of it and the mark before, and so on. The last
mean, of the first mark and all that follow, is the nodule's row in the list of annotations if
enough readers marked it; all other rows are excluded findings. (Found by comparing the lists with
the XML files, see docs/annotations.md; not stated by the challenge.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from nodulenet.annotations import Group, Reading, consensus, point_index, read_lidc_xml
from nodulenet.annotations.challenge_csv import FINDING_COLUMNS, POSITION, read_table
from nodulenet.files import InputError, naming
from nodulenet.imaging import Volume, read_lidc_grid
from nodulenet.progress import track
from nodulenet.scan_table import read_scans

REACH_MM = 3.0
COLUMNS = ("row", *FINDING_COLUMNS, "found", "distance_mm", "kind", "matched", "cause")
NOT_EXCLUDED = {
    "nodule": "a whole nodule, which counts here",
    "part_of_nodule": "a mark, or the mean of marks, of a nodule that counts",
}
NO_SCAN = "the scan is not in the scan table"
NO_XML = "the scan table names no XML file of the scan"
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ChallengeMark:
    """Where the challenge has a row: position LPS (x, y, z) and diameter in mm (-1: a point).

    kind: "small", "non_nodule", "below_level", "nodule" (the mean of all its marks) or
    "part_of_nodule" (of some). excluded: whether it is one of our excluded findings.
    """

    name: str
    kind: str
    position: NDArray[np.float64]
    diameter: float
    excluded: bool


def compare_excluded(
    scans: Path, excluded: Path, level: int = 3, reach: float = REACH_MM
) -> tuple[pd.DataFrame, list[ChallengeMark]]:
    """Look up every row of the challenge's list among the marks of the XML files.

    scans: a scan table; the headers of its images say where the marks lie in the world.
    excluded: CSV with seriesuid, coordX, coordY, coordZ, diameter_mm. In each scan rows and marks
    are paired one to one, no pair farther apart than `reach` (mm): as many as can be, and of
    these with the least sum of distances. A row is found if its mark is one of our excluded
    findings: a small nodule, a non-nodule, a mark of a group below `level`.

    Returns one row for each of the list, in its order: row (from 1), the list's columns, found (0
    or 1), distance_mm (NaN: no mark to measure to), kind and name of the mark, and the cause where
    it is not found; and the excluded findings of these scans that have no row.

    Raises `InputError` naming the file and the fault, also where no row is of a scan of the table.
    """
    table = read_table(excluded, FINDING_COLUMNS)
    listed = {scan["series_uid"]: scan for scan in read_scans(scans)}
    if not table["seriesuid"].isin(list(listed)).any():
        raise InputError(f"{excluded}: no row of a scan that {scans} lists")
    rows: dict[int, Row] = {}
    spare: list[ChallengeMark] = []
    scans_listed = table.groupby("seriesuid", sort=False)
    for uid, own in track(scans_listed, "look up excluded findings", "scans", len(scans_listed)):
        scan = listed.get(str(uid))
        if scan is None or not scan["annotations"]:
            lost = [_row(0, np.nan, "", "", NO_SCAN if scan is None else NO_XML)] * len(own)
            rows |= dict(zip(own.index, lost, strict=True))
            continue
        marks = _scan_marks(str(uid), Path(scan["ct"]), Path(scan["annotations"]), level)
        found, left = match_rows(own[list(POSITION)].to_numpy(float), marks, reach)
        rows |= dict(zip(own.index, found, strict=True))
        spare += left
    result = pd.DataFrame([rows[index] for index in table.index], index=table.index)
    result = pd.concat([table[list(FINDING_COLUMNS)], result], axis=1)
    result.insert(0, "row", range(1, len(result) + 1))
    return result[list(COLUMNS)], spare


def match_rows(
    positions: NDArray[np.float64], marks: Sequence[ChallengeMark], reach: float = REACH_MM
) -> tuple[list[Row], list[ChallengeMark]]:
    """What became of each position (n, 3) of a scan, and the excluded marks that none has."""
    if not marks:
        return [_row(0, np.nan, "", "", "no reader marked anything") for _ in positions], []
    places = np.array([mark.position for mark in marks])
    distance = np.linalg.norm(positions[:, None] - places, axis=2)
    # A pair beyond reach costs more than all pairs within it together.
    beyond = reach * (min(distance.shape) + 1)
    pairs = zip(*linear_sum_assignment(np.where(distance <= reach, distance, beyond)), strict=True)
    taken = {int(row): int(mark) for row, mark in pairs if distance[row, mark] <= reach}
    rows = []
    for number in range(len(positions)):
        nearest = taken.get(number, int(distance[number].argmin()))
        mark, away = marks[nearest], float(distance[number, nearest])
        cause = _cause(mark, away, number in taken, reach)
        rows.append(_row(int(not cause), away, mark.kind, mark.name, cause))
    used = set(taken.values())
    return rows, [mark for k, mark in enumerate(marks) if mark.excluded and k not in used]


def _cause(mark: ChallengeMark, distance: float, paired: bool, reach: float) -> str:
    """Why a row is not found, given the mark it is paired with or else the nearest; "" if it is."""
    if paired:
        return NOT_EXCLUDED.get(mark.kind, "")
    if distance <= reach:
        return f"more rows than marks within {reach:g} mm"
    return f"no mark within {reach:g} mm, the nearest is named"


def _row(found: int, distance: float, kind: str, matched: str, cause: str) -> Row:
    values = (found, distance, kind, matched, cause)
    return dict(zip(("found", "distance_mm", "kind", "matched", "cause"), values, strict=True))


def _scan_marks(uid: str, ct: Path, annotations: Path, level: int) -> list[ChallengeMark]:
    place = read_lidc_grid(ct, uid)
    reading = read_lidc_xml(annotations)
    if reading.series_uid != uid:
        raise InputError(f"{annotations}: is of series {reading.series_uid}, not of scan {uid}")
    with naming(annotations):
        groups = consensus(reading.sessions, place.slice_geometry(), level=1, protocol="strict")
    return challenge_marks(reading, groups, place, level)


def challenge_marks(
    reading: Reading, groups: Sequence[Group], place: Volume, level: int = 3
) -> list[ChallengeMark]:
    """The rows to be expected of one scan: of each group, then of each point mark.

    groups: of the strict protocol, whose outlines are the readers' marks.
    """
    found = []
    for number, group in enumerate(groups, 1):
        wanted = group.level >= level
        for first, (position, diameter) in enumerate(mark_means(group, place)):
            kind = ("part_of_nodule" if first else "nodule") if wanted else "below_level"
            sessions = ", ".join(str(session + 1) for session, _ in group.members[first:])
            name = f"marks of sessions {sessions} of finding {number} (level {group.level})"
            found.append(ChallengeMark(name, kind, position, diameter, not wanted))
    geometry = place.slice_geometry()
    for session_number, session in enumerate(reading.sessions, 1):
        for mark in session.marks:
            if mark.kind != "nodule":
                position = place.to_world(np.array(point_index(mark, geometry)))
                name = f"session {session_number}, {mark.kind} {mark.mark_id!r}"
                found.append(ChallengeMark(name, mark.kind, position, -1.0, True))
    return found


def mark_means(group: Group, place: Volume) -> list[tuple[NDArray[np.float64], float]]:
    """Centroid and volume-equivalent diameter of each mark, averaged with those after it."""
    means: list[tuple[NDArray[np.float64], float]] = []
    for mask, offset in reversed(group.outlines):
        centroid = place.to_world(np.argwhere(mask).mean(axis=0) + offset)
        diameter = float((6 * mask.sum() * place.voxel_mm3 / np.pi) ** (1 / 3))
        if means:
            after, after_diameter = means[0]
            centroid, diameter = (centroid + after) / 2, (diameter + after_diameter) / 2
        means.insert(0, (centroid, diameter))
    return means
