"""Faults of people's copies of public cohorts: each is seen through, or named in one line."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trees
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import UID

from nodulenet.files import InputError
from nodulenet.layouts.choose import read_layout
from nodulenet.layouts.common import Cohort, Request
from nodulenet.layouts.dlcs24 import numbered
from nodulenet.layouts.tables import bare, by_bare_name, read_csv

TABLES = {
    "lndb": "trainset_csv/trainNodules_gt.csv",
    "luna25": "LUNA25_Public_Training_Development_Data.csv",
    "dlcs24": "DLCSD24_Annotations.csv",
}


def read(name: str, root: Path, axes: str = "LPS") -> Cohort:
    return read_layout(name, Request(root, root / "scans_nodules.csv", axes))


def reasons(cohort: Cohort) -> dict[str, str]:
    return {path.name: reason for path, reason in cohort.found.passed}


def refused(name: str, root: Path, axes: str = "LPS") -> str:
    """The message of the error, one line that names a file below the root."""
    with pytest.raises(InputError) as error:
        read(name, root, axes)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(str(root))
    return text


def edit(path: Path, *pairs: tuple[str, str]) -> Path:
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def content(cohort: Cohort) -> list:
    """What a cohort is, but for notes and counts."""
    nodules = None if cohort.nodules is None else cohort.nodules.to_numpy().tolist()
    return [cohort.found.table.to_numpy().tolist(), nodules]


WAYS: dict[str, Callable[[str], bytes]] = {
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "upper case": lambda text: re.sub(r"^.*", lambda m: m[0].upper(), text, count=1).encode(),
    "spaces and empty lines": lambda text: text.replace(",", " , ").replace("\n", "\n\n").encode(),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_as_programs_save_them(tmp_path: Path, name: str) -> None:
    path = getattr(trees, name)(tmp_path) / TABLES[name]
    as_it_was, text = content(read(name, tmp_path)), path.read_text()
    for way, change in WAYS.items():
        if not (way.startswith("spaces") and '"' in text):
            path.write_bytes(change(text))
            assert content(read(name, tmp_path)) == as_it_was, way


@pytest.mark.parametrize("name", TABLES)
def test_other_separators_and_decimal_commas_are_named(tmp_path: Path, name: str) -> None:
    path = getattr(trees, name)(tmp_path) / TABLES[name]
    text = path.read_text()
    for sign, told in ((";", "semicolons"), ("\t", "tabs")):
        path.write_text(text.replace(",", sign))
        assert refused(name, tmp_path).endswith(f"separated by {told}, not by commas")
    if name != "lndb":  # its positions are not used
        path.write_text(text.replace("-38.0", "-38,0", 1))
        assert "line 2 has" in refused(name, tmp_path)
        assert "decimal point" in refused(name, tmp_path)
        path.write_text(text.replace("-38.0", '"-38,0"', 1))
        assert refused(name, tmp_path).endswith("line 2: coordY '-38,0' is not a number")


@pytest.mark.parametrize(
    ("name", "column"), [("lndb", "RadID"), ("luna25", "CoordZ"), ("dlcs24", "benchmark_split")]
)
def test_a_missing_column_is_named_with_what_was_found(
    tmp_path: Path, name: str, column: str
) -> None:
    path = getattr(trees, name)(tmp_path) / TABLES[name]
    edit(path, (f"{column}", f"{column}s"))
    assert f"no column {column}; it has " in refused(name, tmp_path)
    edit(path, (f"{column}s", column), ("\n", f",{column}\n"))
    assert refused(name, tmp_path).endswith(f"column {column} is there twice")


@pytest.mark.parametrize("name", TABLES)
def test_a_doubled_row_counts_once_and_is_named(tmp_path: Path, name: str) -> None:
    path = getattr(trees, name)(tmp_path) / TABLES[name]
    as_it_was = content(read(name, tmp_path))
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    cohort = read(name, tmp_path)
    assert content(cohort) == as_it_was
    last = len(path.read_text().splitlines())
    assert f"{path}: lines 2 and {last} are the same row: counted once" in cohort.found.remarks


def test_a_nodule_listed_twice_counts_once(tmp_path: Path) -> None:
    path = trees.luna25(tmp_path) / TABLES["luna25"]
    line = path.read_text().splitlines()[2].split(",")
    path.write_text(path.read_text() + ",".join([*line[:7], "99", "1"]) + "\n")
    cohort = read("luna25", tmp_path)
    assert len(cohort.nodules) == 4
    assert f"{path}: lines 3 and 6 are the same nodule: counted once" in cohort.found.remarks


@pytest.mark.parametrize(
    ("name", "ct", "scan"),
    [
        ("lndb", "data0/LNDb-0002.mhd", "LNDb-0002"),
        ("luna25", f"luna25_images/{UID.format(2)}.mha", UID.format(2)),
        ("dlcs24", "subset02/DLCS_0002.nii.gz", "DLCS_0002"),
    ],
)
def test_a_scan_that_is_missing_or_damaged_is_named(
    tmp_path: Path, name: str, ct: str, scan: str
) -> None:
    root = getattr(trees, name)(tmp_path)
    whole = len(read(name, root).found.table)
    path = root / ct
    kept = path.read_bytes()
    path.write_bytes(kept[:20])
    cohort = read(name, root)
    assert len(cohort.found.table) == whole - 1
    assert reasons(cohort)[path.name].startswith("refused: ")
    path.unlink()
    cohort = read(name, root)
    assert len(cohort.found.table) == whole - 1
    assert f"no CT of its series: {scan} (rows: 1)" in [r for _, r in cohort.found.passed]


def test_no_row_of_any_scan(tmp_path: Path) -> None:
    path = trees.luna25(tmp_path) / TABLES["luna25"]
    edit(path, (UID.format(""), "9.9."))
    assert "no row is of a scan with an image: it has 9.9.1, 9.9.2; the" in refused(
        "luna25", tmp_path
    )


def test_two_copies_of_a_ct(tmp_path: Path) -> None:
    root = trees.lndb(tmp_path)
    copy = root / "data5"
    copy.mkdir()
    for path in (root / "data1").glob("LNDb-0001.*"):
        shutil.copy(path, copy)
    assert reasons(read("lndb", root))["LNDb-0001.mhd"].startswith("a copy of another file")
    edit(copy / "LNDb-0001.mhd", ("-100", "-90"))
    assert "LNDb-0001.mhd: is not the same as " in refused("lndb", root)


def test_ids_without_leading_zeros(tmp_path: Path) -> None:
    path = trees.dlcs24(tmp_path) / TABLES["dlcs24"]
    as_it_was = content(read("dlcs24", tmp_path))
    edit(path, ("DLCS_0002.nii", "DLCS_2.nii"))
    cohort = read("dlcs24", tmp_path)
    assert content(cohort) == as_it_was
    assert f"{path}: 1 row matched without leading zeros or case" in cohort.found.remarks
    edit(path, ("DLCS_0001.nii", "downloads\\dlcs_1.nii"))
    assert content(read("dlcs24", tmp_path)) == as_it_was
    trees.image(tmp_path / "DLCS_02.nii.gz")
    assert "DLCS_02" in refused("dlcs24", tmp_path)
    table = trees.lndb(tmp_path / "lndb") / TABLES["lndb"]
    as_it_was = content(read("lndb", tmp_path / "lndb"))
    edit(table, ("\n2,", "\nLNDb-0002,"), ("\n1,", "\n0001,"))
    assert content(read("lndb", tmp_path / "lndb")) == as_it_was


def test_positions_outside_of_their_ct(tmp_path: Path) -> None:
    path = trees.luna25(tmp_path) / TABLES["luna25"]
    edit(path, ("-94.0", "-90.0"))
    cohort = read("luna25", tmp_path)
    assert cohort.found.table["series_uid"].tolist() == [UID.format(2)]
    assert reasons(cohort)[f"{UID.format(1)}.mha"] == f"a nodule lies outside of it: {path} line 4"
    assert cohort.nodules["seriesuid"].tolist() == [UID.format(2)]
    edit(path, ("-90.0", ""))
    assert "a nodule has no position" in reasons(read("luna25", tmp_path))[f"{UID.format(1)}.mha"]


def test_positions_in_other_axes_are_refused_unless_said(tmp_path: Path) -> None:
    path = trees.luna25(tmp_path) / TABLES["luna25"]
    as_it_was = content(read("luna25", tmp_path))
    assert "4 lie in their CT so alone, 0 also" in read("luna25", tmp_path).found.remarks[-1]
    told = refused("luna25", tmp_path, "RAS")
    assert "0 of 4 positions lie in their CT as RAS" in told
    assert told.endswith("say --axes LPS")
    head, *rows = path.read_text().splitlines()
    turned = [row.split(",") for row in rows]
    for row in turned:
        row[3:5] = [str(-float(cell)) for cell in row[3:5]]
    trees.write(path, head, *(",".join(row) for row in turned))
    assert refused("luna25", tmp_path).endswith("say --axes RAS")
    assert content(read("luna25", tmp_path, "RAS")) == as_it_was


def test_a_scan_without_nodules_stays(tmp_path: Path) -> None:
    path = trees.dlcs24(tmp_path) / TABLES["dlcs24"]
    trees.image(tmp_path / "DLCS_0004.nii.gz")
    trees.image(tmp_path / "DLCS_0005.nii.gz")
    path.write_text(path.read_text() + "DLCS_0004,,DLCS_0004.nii.gz,,,,,,,,test\n")
    cohort = read("dlcs24", tmp_path)
    assert "DLCS_0004" in cohort.found.table["patient_id"].tolist()
    assert len(cohort.nodules) == 3
    assert reasons(cohort)["DLCS_0005.nii.gz"] == "no annotations of its series: DLCS_0005"


def test_boxes_and_splits_that_cannot_be(tmp_path: Path) -> None:
    path = trees.dlcs24(tmp_path) / TABLES["dlcs24"]
    edit(path, ("4.5,3,6.25,0,val", "4.5,0,6.25,0,val"))
    assert refused("dlcs24", tmp_path).endswith("line 3: w, h and d of a nodule must be above 0")
    edit(path, ("4.5,0,6.25,0,val", "4.5,3,6.25,0,"))
    assert refused("dlcs24", tmp_path).endswith("line 3: benchmark_split is empty")
    row = path.read_text().splitlines()[1].replace("_01,", "_02,").replace("train", "test")
    path.write_text(path.read_text().replace("6.25,0,\n", "6.25,0,val\n") + row + "\n")
    told = "line 5: DLCS_0001 has two benchmark_split: 'train' and 'test'"
    assert refused("dlcs24", tmp_path).endswith(told)


def test_numbers_of_splits() -> None:
    assert numbered({"1.1": "3", "1.2": "0"})[0] == {"1.1": 3, "1.2": 0}
    names = {
        str(n): name for n, name in enumerate(("zeta", "test", "Validation", "alpha", "train"))
    }
    assert numbered(names)[0] == {"4": 0, "2": 1, "1": 2, "3": 3, "0": 4}


def test_findings_of_lndb_that_contradict_each_other(tmp_path: Path) -> None:
    path = trees.lndb(tmp_path) / TABLES["lndb"]
    text = path.read_text()
    for row, told in (
        (
            "1,1,1,9,0,0,0,0,0,1,5",
            "line 6: finding 1 of LNDb-0001_rad1 is a nodule or none, un",
        ),
        ('1,"1,2",1,9,0,0,0,1,1,1,5', "line 6: 2 RadID, but 1 RadFindingID"),
        ("1,1,x,9,0,0,0,1,1,1,5", "line 6: 'x' is not a list of numbers"),
        ("1,1,7,9,0,0,0,1,2,1,5", "line 6: Nodule '2' is neither 0 nor 1"),
        ("one,1,7,9,0,0,0,1,1,1,5", "line 6: LNDbID 'one' is not a number"),
    ):
        path.write_text(f"{text}{row}\n")
        assert told in refused("lndb", tmp_path)
    path.write_text(text.replace('"1,2","1,4"', '"[1, 2]","1;4"'))
    assert read("lndb", tmp_path).found.table["labels"].tolist() == ["1;4", "1", "none"]
    path.write_text(f"{text}2,3,1,1,13,-37,-96,1,1,40,5\n")
    assert reasons(read("lndb", tmp_path))[path.name] == "no mask of its reader: LNDb-0002_rad3"


def test_a_reader_of_lndb_who_saw_no_nodule_has_no_vote(tmp_path: Path) -> None:
    path = trees.lndb(tmp_path) / TABLES["lndb"]
    edit(path, ("-98,2,1,", "-98,1,1,"))
    cohort = read("lndb", tmp_path)
    assert "1 nodule that a reader called none (AgrLevel)" in cohort.found.remarks[0]
    assert cohort.found.table["labels"].tolist()[0] == "1;4"
    own = path.with_name("trainNodules.csv")
    trees.write(own, "LNDbID,RadID,FindingID,x,y,z,Nodule", "1,1,1,0,0,0,1", "1,2,4,0,0,0,0")
    cohort = read("lndb", tmp_path)
    assert cohort.found.table["labels"].tolist()[0] == "1;none"
    assert "1 finding of nodules that the reader himself called none" in cohort.found.remarks[0]
    assert own.name not in reasons(cohort)


def test_folds_of_lndb_in_either_shape(tmp_path: Path) -> None:
    path = trees.lndb(tmp_path) / "trainset_csv/trainFolds.csv"
    as_it_was = content(read("lndb", tmp_path))
    trees.write(path, "LNDbID,Fold", "1,0", "30,0", "2,1", "77,0")
    assert content(read("lndb", tmp_path)) == as_it_was
    trees.write(path, "LNDbID,Fold", "1,0", "30,0", "2,1", "2,0")
    assert refused("lndb", tmp_path).endswith("line 5: LNDb-0002 is in folds 1 and 0")
    trees.write(path, "LNDbID,Fold", "1,0", "2,1")
    assert "1 scan(s) have no fold" in refused("lndb", tmp_path)
    path.unlink()
    assert "fold" not in read("lndb", tmp_path).found.table


def test_pairs_of_the_lung_task(tmp_path: Path) -> None:
    root = trees.msd_lung(tmp_path)
    path = root / "Task06_Lung/dataset.json"
    listed = json.loads(path.read_text())
    (root / "Task06_Lung/labelsTr/lung_003.nii.gz").unlink()
    assert reasons(read("msd_lung", root))["lung_003.nii.gz"] == (
        "no annotations of its series: lung_003"
    )
    for change, told in (
        ({"name": "Liver"}, "is of the task 'Liver', not of the lung task"),
        ({"labels": {"0": "b", "1": "liver", "2": "tumour"}}, "has the labels 0, 1, 2, not"),
        ({"training": {}}, "has no list `training`"),
        ({"training": ["a.nii.gz"]}, "training entry 1 is no pair of image and label"),
        ({"training": listed["training"][:1] * 2}, "training entry 2: lung_001 is listed twice"),
        ({"training": listed["training"][1:]}, "none of its training pairs is there"),
    ):
        path.write_text(json.dumps(listed | change))
        assert told in refused("msd_lung", root)
    path.write_text("{")
    assert "not valid JSON" in refused("msd_lung", root)


def test_some_subsets_of_luna16(tmp_path: Path) -> None:
    root = trees.luna16(tmp_path, subsets=3)
    shutil.rmtree(root / "subset1")
    trees.image(root / f"{UID.format(77)}.mhd")
    cohort = read("luna16", root)
    assert cohort.found.table["fold"].tolist() == [0, 1]
    assert cohort.config[-1] == "folds: {number: 2}"
    assert "without subset1, subset3, subset4" in cohort.found.remarks[0]
    assert reasons(cohort)[f"{UID.format(77)}.mhd"] == "in no folder subset0 to subset9"
    assert reasons(cohort)["annotations.csv"] == f"no CT of its series: {UID.format(2)} (rows: 1)"


def test_bare_names() -> None:
    assert bare("DLCS_0010_01") == bare("dlcs_10_1") == "dlcs_10_1"
    assert bare("000") == "0"
    assert by_bare_name(["a01", "a2"], Path("x.csv")) == {"a1": "a01", "a2": "a2"}


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=5).map(str.strip)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL), min_size=1, max_size=4),
    st.permutations(["Alpha", "beta-b", "other"]),
    st.booleans(),
)
def test_columns_are_found_in_any_order_and_case(
    tmp_path_factory: pytest.TempPathFactory, rows, order, upper
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    cells = [dict(zip(("Alpha", "beta-b", "other"), (*row, "x"), strict=True)) for row in rows]
    quoted = [[f'"{row[name].replace(chr(34), chr(34) * 2)}"' for name in order] for row in cells]
    head = ",".join(name.upper() if upper else name for name in order)
    path.write_text("\r\n".join([head, *(",".join(row) for row in quoted)]), "utf-8-sig")
    table = read_csv(path, ("Alpha", "beta-b"))
    assert table.to_numpy().tolist() == [list(row) for row in rows]
    assert table.index.tolist() == list(range(2, len(rows) + 2))
