"""The challenge's excluded findings against the marks of the XML files."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny

from nodulenet import cli
from nodulenet.annotations import (
    Mark,
    Reading,
    Roi,
    Session,
    SliceGeometry,
    consensus,
    read_lidc_xml,
)
from nodulenet.audit.challenge import (
    ChallengeMark,
    challenge_marks,
    compare_excluded,
    mark_means,
    match_rows,
)
from nodulenet.cohort.annotate import annotate_scan
from nodulenet.cohort.steps import Scan, consensus_scan
from nodulenet.files import InputError
from nodulenet.imaging import blank, read_geometry
from nodulenet.scan_table import read_scan_table
from nodulenet.settings import ConsensusSettings, PreprocessSettings

# Voxels of 2 x 1 x 1 mm, the first at (10, 20, 30).
PLACE = blank(np.array([[0, 0, 1, 10], [0, 1, 0, 20], [2, 0, 0, 30], [0, 0, 0, 1.0]]), (9, 40, 40))
GEOMETRY = SliceGeometry(PLACE.slice_z(), (40, 40))


def box(x0, side, z=34.0):
    corners = ((x0, 5), (x0 + side, 5), (x0 + side, 5 + side), (x0, 5 + side))
    vertices = tuple((float(x), float(y)) for x, y in corners)
    return Mark("nodule", "N", (Roi(z, True, vertices),))


def reading(*marks):
    return Reading("1.2", tuple(Session(None, (mark,)) for mark in marks), "", "")


def groups(reads):
    return consensus(reads.sessions, GEOMETRY, 1, 0.1, protocol="strict")


def nodule_rows(groups, place):
    """Position (LPS, mm) and diameter (mm) that the annotations have for each nodule."""
    return [mark_means(group, place)[0] for group in groups if group.level >= 3]


def test_rows_are_means_taken_from_the_last_mark():
    # Interiors of 3 x 3, 3 x 3 and 1 x 1 voxels of 2 mm3, their centres at x = 12, 13 and 12.
    reads = reading(box(0, 4), box(1, 4), box(1, 2))
    (of_all,) = nodule_rows(groups(reads), PLACE)
    sizes = [(6 * voxels * 2 / np.pi) ** (1 / 3) for voxels in (9, 9, 1)]
    assert of_all[0] == pytest.approx([(12 + (13 + 12) / 2) / 2, (27 + (27 + 26) / 2) / 2, 34.0])
    assert of_all[1] == pytest.approx((sizes[0] + (sizes[1] + sizes[2]) / 2) / 2)
    rows = challenge_marks(reads, groups(reads), PLACE)
    assert [row.kind for row in rows] == ["nodule", "part_of_nodule", "part_of_nodule"]
    assert [row.position[0] for row in rows] == pytest.approx([12.25, 12.5, 12.0])
    assert [row.name for row in rows] == [
        f"marks of sessions {which} of finding 1 (level 3)" for which in ("1, 2, 3", "2, 3", "3")
    ]
    assert not any(row.excluded for row in rows)


def test_groups_below_the_level_and_points_are_excluded():
    point = Mark("small", "s", (Roi(36.0, True, ((3.0, 4.0),)),))
    other = Mark("non_nodule", "n", (Roi(36.0, True, ((7.0, 4.0),)),))
    reads = reading(box(0, 4), point, box(0, 4), other)
    rows = challenge_marks(reads, groups(reads), PLACE)
    assert [row.kind for row in rows] == ["below_level", "below_level", "small", "non_nodule"]
    assert all(row.excluded for row in rows)
    assert rows[2].position == pytest.approx([13, 24, 36])
    assert (rows[2].diameter, rows[3].name) == (-1, "session 4, non_nodule 'n'")
    assert challenge_marks(reads, groups(reads), PLACE, level=2)[0].kind == "nodule"


def at(x, kind="small", excluded=True):
    return ChallengeMark(f"{kind} at {x}", kind, np.array([x, 0.0, 0.0]), -1.0, excluded)


def matched(xs, *marks, reach=3.0):
    positions = np.array([[x, 0.0, 0.0] for x in xs])
    rows, spare = match_rows(positions, marks, reach)
    return [(r["found"], r["distance_mm"], r["matched"], r["cause"]) for r in rows], spare


def test_rows_and_marks_are_paired_one_to_one():
    # The nearest mark of both rows is at 2; only with the other pairs are both found.
    first, second = at(0.0), at(2.0)
    rows, spare = matched([1.6, 4.5], first, second)
    assert rows == [(1, 1.6, "small at 0.0", ""), (1, 2.5, "small at 2.0", "")]
    assert spare == []


def test_why_a_row_is_not_found():
    rows, spare = matched(
        [0.0, 0.5, 10.0, 20.0, 30.0],
        at(0.0),
        at(13.0),
        at(20.0, "part_of_nodule", excluded=False),
        at(30.0, "nodule", excluded=False),
        at(50.0),
    )
    assert rows == [
        (1, 0.0, "small at 0.0", ""),
        (0, 0.5, "small at 0.0", "more rows than marks within 3 mm"),
        (1, 3.0, "small at 13.0", ""),
        (0, 0.0, "part_of_nodule at 20.0", "a mark, or the mean of marks, of a nodule that counts"),
        (0, 0.0, "nodule at 30.0", "a whole nodule, which counts here"),
    ]
    assert [mark.name for mark in spare] == ["small at 50.0"]
    rows, _ = matched([3.5], at(0.0))
    assert rows == [(0, 3.5, "small at 0.0", "no mark within 3 mm, the nearest is named")]
    (row,), _ = matched([3.5])
    assert (row[0], row[3]) == (0, "no reader marked anything")


@pytest.fixture
def cohort(tmp_path):
    """Two tiny scans, the second without XML file, and a list of three rows."""
    lines = ["series_uid\tpatient_id\tct\tannotations\tlung_mask"]
    for number, uid in enumerate(tiny.SERIES[:2]):
        tiny.write_scan(tmp_path, uid, number)
        lines.append(
            f"{uid}\tP{number}\t{uid}.mhd\t{uid}.xml\t"
            if not number
            else f"{uid}\tP\t{uid}.mhd\t\t"
        )
    (tmp_path / "scans.tsv").write_text("\n".join(lines) + "\n")
    place = [-900.0, 0.0, 0.0]
    table = pd.DataFrame(
        [(uid, *place, -1) for uid in ("1.9", *tiny.SERIES[:2])],
        columns=["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"],
    )
    table.to_csv(tmp_path / "excluded.csv", index=False)
    return tmp_path


def test_every_row_of_the_list_is_accounted_for(cohort, capsys):
    files = {name: str(cohort / name) for name in ("scans.tsv", "excluded.csv", "out.tsv")}
    command = [
        "compare-excluded",
        "--scans",
        files["scans.tsv"],
        "--excluded",
        files["excluded.csv"],
    ]
    assert cli.main([*command, "--output", files["out.tsv"]]) == 0
    table = pd.read_csv(files["out.tsv"], sep="\t", dtype={"seriesuid": str})
    assert table["row"].tolist() == [1, 2, 3]
    assert table["seriesuid"].tolist() == ["1.9", *tiny.SERIES[:2]]
    assert table["found"].tolist() == [0, 0, 0]
    assert table["cause"].tolist() == [
        "the scan is not in the scan table",
        "no mark within 3 mm, the nearest is named",
        "the scan table names no XML file of the scan",
    ]
    assert table["distance_mm"].notna().tolist() == [False, True, False]
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "3 rows, 0 found within 3 mm"
    assert captured.out.splitlines()[-1].startswith(
        "excluded findings of these scans without a row"
    )
    assert captured.err.startswith("without a row: ")


def test_faults_name_the_file(cohort):
    scans, excluded = cohort / "scans.tsv", cohort / "excluded.csv"
    whole = excluded.read_text()
    excluded.write_text(whole.replace("coordX", "x"))
    with pytest.raises(InputError, match=r"excluded\.csv: no column coordX"):
        compare_excluded(scans, excluded)
    excluded.write_text("\n".join(whole.splitlines()[:2]))
    with pytest.raises(InputError, match=r"excluded\.csv: no row of a scan that .*scans\.tsv"):
        compare_excluded(scans, excluded)
    excluded.write_text(whole)
    xml = cohort / f"{tiny.SERIES[0]}.xml"
    text = xml.read_text()
    xml.write_text(text.replace(tiny.SERIES[0], "1.2.3"))
    with pytest.raises(InputError, match=r"\.xml: is of series 1\.2\.3, not of scan"):
        compare_excluded(scans, excluded)
    xml.write_text(text.replace("<xCoord>18<", "<xCoord>180<"))
    with pytest.raises(InputError, match=r"\.xml: session 1"):
        compare_excluded(scans, excluded)


@pytest.fixture(scope="module")
def real_scans(lidc_scan, tmp_path_factory):
    """Scan table of the two real scans."""
    folder = tmp_path_factory.mktemp("real")
    parts = []
    for patient in ("0001", "0003"):
        table = folder / f"{patient}.tsv"
        place = str(lidc_scan(patient))
        assert (
            cli.main(["index", "--ct", place, "--annotations", place, "--output", str(table)]) == 0
        )
        parts.append(read_scan_table(table).map(str))
    path = folder / "scans.tsv"
    pd.concat(parts).to_csv(path, sep="\t", index=False)
    return path


def test_every_excluded_row_of_two_real_scans(real_scans, nodulenet_data, tmp_path):
    path = tmp_path / "excluded.csv"
    path.write_bytes(
        gzip.decompress((nodulenet_data / "luna16/annotations_excluded.csv.gz").read_bytes())
    )
    table, spare = compare_excluded(real_scans, path)
    assert len(table) == 35192
    at_hand = table[table["cause"] != "the scan is not in the scan table"]
    assert len(at_hand) == 73
    assert at_hand["distance_mm"].max() < 0.01
    found = at_hand[at_hand["found"] == 1]
    assert found["kind"].value_counts().to_dict() == {
        "non_nodule": 51,
        "small": 9,
        "below_level": 1,
    }
    assert (at_hand["kind"] == "part_of_nodule").sum() == 12
    assert spare == []


def test_the_annotations_are_the_means_of_interiors(real_scans, nodulenet_data):
    # The rule of the strict protocol, and that of the list of annotations, to a hundredth of a mm.
    truth = pd.read_csv(nodulenet_data / "luna16/annotations.csv", dtype={"seriesuid": str})
    found = []
    for scan in read_scan_table(real_scans).itertuples():
        place = blank(*read_geometry(scan.ct, scan.series_uid))
        geometry = SliceGeometry(place.slice_z(), place.array.shape[1:])
        reads = read_lidc_xml(scan.annotations)
        rows = nodule_rows(consensus(reads.sessions, geometry, 1, protocol="strict"), place)
        for _, row in truth[truth["seriesuid"] == scan.series_uid].iterrows():
            expected = row[["coordX", "coordY", "coordZ", "diameter_mm"]].to_numpy(float)
            found.append(min(np.abs([*p, d] - expected).max() for p, d in rows))
    assert len(found) == 4
    assert max(found) < 0.01


def test_real_nodules_lie_where_the_challenge_has_them(real_scans, nodulenet_data, tmp_path):
    truth = pd.read_csv(nodulenet_data / "luna16/annotations.csv", dtype={"seriesuid": str})
    rules = ConsensusSettings(protocol="strict", merge="majority")
    outputs = {name: tmp_path / name for name in ("nodules", "findings", "record")}
    seen = 0
    for scan in read_scan_table(real_scans).itertuples():
        uid = scan.series_uid
        annotate_scan(uid, [scan.annotations], "xml", tmp_path / "reading.json")
        place = Scan(uid, Path(scan.ct))
        consensus_scan(place, tmp_path / "reading.json", rules, PreprocessSettings(), outputs)
        table = pd.read_csv(outputs["findings"])
        own = table[table["kind"] == "nodule"]
        rows = truth[truth["seriesuid"] == uid]
        assert len(own) == len(rows)
        centroids = own[["centroidX", "centroidY", "centroidZ"]].to_numpy()
        for row in rows.itertuples():
            distance = np.linalg.norm(centroids - [row.coordX, row.coordY, row.coordZ], axis=1)
            nearest = int(distance.argmin())
            assert distance[nearest] < 0.5
            diameter = own["equivalent_diameter_mm"].iloc[nearest]
            assert abs(diameter - row.diameter_mm) < 1
            seen += 1
    assert seen == 4
