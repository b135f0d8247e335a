"""Tables of positions and diameters in the challenge's format."""

import gzip
from pathlib import Path

import pytest

from nodulenet.annotations import (
    ListedNodule,
    count_listed,
    read_nodule_table,
    read_reading,
    write_reading,
)
from nodulenet.files import InputError, sha256

HEAD = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
BOXES = "seriesuid,coordX,coordY,coordZ,diameter_mm,width_mm,height_mm,depth_mm\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "annotations.csv"
    path.write_text(
        HEAD + "1.2,-128.6994211,-175.3192718,-298.3875064,5.651470635\n"
        "1.3,0,1e1,2.5,-1\n"
        "\n"
        "1.2, 3 ,4,5,6\n"
    )
    return path


def test_rows_of_one_series_in_order(table: Path) -> None:
    reading = read_nodule_table(table, "1.2")
    assert reading.listed == (
        ListedNodule((-128.6994211, -175.3192718, -298.3875064), 5.651470635, 2),
        ListedNodule((3, 4, 5), 6, 5),
    )
    assert (reading.series_uid, reading.sessions, reading.flags) == ("1.2", (), ())
    assert (reading.source, reading.sha256) == (str(table), sha256(table))
    assert read_nodule_table(table, "1.3").listed == (ListedNodule((0, 10, 2.5), -1, 3),)


def test_a_series_without_a_row_has_no_nodule(table: Path) -> None:
    reading = read_nodule_table(table, "1.20")
    assert reading.listed == ()
    assert reading.flags == ("no row of this series in the table",)


def test_columns_are_told_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b"\xef\xbb\xbfdiameter_mm,note,coordZ,coordY,coordX,seriesuid\r\n5,a b,3,2,1,1.2\r\n"
    )
    assert read_nodule_table(path, "1.2").listed == (ListedNodule((1, 2, 3), 5, 2),)


def test_a_stored_reading_keeps_its_nodules(table: Path, tmp_path: Path) -> None:
    reading = read_nodule_table(table, "1.2")
    write_reading(reading, tmp_path / "r.json")
    assert read_reading(tmp_path / "r.json") == reading
    text = (tmp_path / "r.json").read_text()
    for good, bad in (("5.651470635", "1e999"), ("[3.0,4.0,5.0]", "[3.0,4.0]")):
        (tmp_path / "r.json").write_text(text.replace(good, bad))
        with pytest.raises(InputError, match=r"r.json: not a reading: "):
            read_reading(tmp_path / "r.json")


def test_rows_are_counted_by_series(table: Path) -> None:
    assert count_listed(table) == {"1.2": 2, "1.3": 1}


def test_a_nodule_may_have_a_box(tmp_path: Path) -> None:
    """Sides along x, y and z, in columns of any order; rounding is no fault."""
    path = tmp_path / "boxes.csv"
    path.write_text(
        "depth_mm,height_mm,width_mm,seriesuid,coordX,coordY,coordZ,diameter_mm\n"
        "3,8.004,5,1.2,0,0,0,8\n"
        ",,,1.2,1,1,1,6\n"
        ",,,1.2,2,2,2,-1\n"
    )
    reading = read_nodule_table(path, "1.2")
    assert reading.listed == (
        ListedNodule((0, 0, 0), 8, 2, (5, 8.004, 3)),
        ListedNodule((1, 1, 1), 6, 3),
        ListedNodule((2, 2, 2), -1, 4),
    )
    write_reading(reading, tmp_path / "r.json")
    assert read_reading(tmp_path / "r.json") == reading
    path.write_text(BOXES + "1.2,0,0,0,8,,,\n")
    assert read_nodule_table(path, "1.2").listed == (ListedNodule((0, 0, 0), 8, 2),)


NONE = "no column seriesuid, coordX, coordY, coordZ, diameter_mm: its cells are separated"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        (HEAD.replace("coordZ", "z"), "no column coordZ"),
        (HEAD + "1.2,1,2,3\n", "line 2 has 4 cells, not 5"),
        (HEAD + "1.2,1,2,x,5\n", "line 2: coordZ 'x' is not a number"),
        (HEAD + "1.2,1,2,nan,5\n", "line 2: coordZ 'nan' is not a number"),
        (HEAD + "1.2,1,2,3,\n", "line 2: diameter_mm '' is not a number"),
        (HEAD + "1.2,1,2,3,0\n", "line 2: diameter_mm is 0; negative means unknown"),
        (HEAD + "1.2,1,2,3,5\n1.2,1,2,3,5\n", "lines 2 and 3 are the same nodule"),
        (
            HEAD.replace(",", ";") + "1.2;1;2;3;5\n",
            f"{NONE} by semicolons",
        ),
        (HEAD.replace(",", "\t") + "1.2\t1\t2\t3\t5\n", f"{NONE} by tabs"),
        (
            BOXES.replace("height_mm", "h").replace("depth_mm", "d") + "1.2,1,2,3,5,5,4,3\n",
            "has the column width_mm, but no column height_mm, depth_mm",
        ),
        (
            BOXES + "1.2,1,2,3,5,5,,3\n",
            "line 2: height_mm is empty: a box has three sides, or none",
        ),
        (BOXES + "1.2,1,2,3,5,5,x,3\n", "line 2: height_mm 'x' is not a number"),
        (BOXES + "1.2,1,2,3,5,5,4,0\n", "line 2: depth_mm is 0, not above 0"),
        (BOXES + "1.2,1,2,3,5,5,-4,1\n", "line 2: height_mm is -4, not above 0"),
        (
            BOXES + "1.2,9,2,3,5,,,\n1.2,1,2,3,5,5,4,6\n",
            "line 3: diameter_mm is 5, but the largest side of its box is 6",
        ),
        (
            BOXES + "1.2,1,2,3,-1,5,4,6\n",
            "line 2: diameter_mm is -1, but the largest side of its box is 6",
        ),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    for read in (count_listed, lambda path: read_nodule_table(path, "1.2")):
        with pytest.raises(InputError) as error:
            read(path)
        assert str(error.value) == f"{path}: {fault}"


def test_a_bad_number_is_of_its_series_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "1.2,1,2,x,5\n1.3,1,2,3,5\n")
    assert len(read_nodule_table(path, "1.3").listed) == 1


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.csv: No such file"):
        read_nodule_table(tmp_path / "none.csv", "1.2")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"b.csv: not a table: "):
        read_nodule_table(tmp_path / "b.csv", "1.2")
    (tmp_path / "e.csv").write_text(HEAD + ",1,2,3,5\n")
    with pytest.raises(InputError, match=r"e.csv: line 2: seriesuid is empty"):
        count_listed(tmp_path / "e.csv")


def test_a_packed_table_is_read(table: Path) -> None:
    packed = table.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(table.read_bytes()))
    assert count_listed(packed) == count_listed(table)
    assert read_nodule_table(packed, "1.2").listed == read_nodule_table(table, "1.2").listed


def test_the_table_of_the_challenge(nodulenet_data: Path) -> None:
    counts = count_listed(nodulenet_data / "luna16/annotations.csv")
    assert (len(counts), sum(counts.values())) == (601, 1186)
