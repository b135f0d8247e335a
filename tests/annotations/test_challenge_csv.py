"""The one reader of tables in the challenge's formats: what it takes and what it refuses."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from nodulenet.annotations.challenge_csv import check_nodules, read_cells, with_numbers
from nodulenet.files import InputError
from nodulenet.text_tables import read_text

HEAD = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
COLUMNS = tuple(HEAD.strip().split(","))
MISSING = f"no column {', '.join(COLUMNS)}"


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, HEAD)
    return target.getvalue()


def test_cells_are_stripped_and_lines_counted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(" seriesuid , coordX\n\n 1.2 , 3\n   \n1.3,\t4e1\n")
    table = read_cells(tmp_path / "t.csv", ("seriesuid", "coordX"))
    assert table["seriesuid"].to_dict() == {3: "1.2", 5: "1.3"}
    numbers = with_numbers(table, ["coordX"], tmp_path / "t.csv")
    assert numbers["coordX"].to_dict() == {3: 3.0, 5: 40.0}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        (HEAD + "1.2,1,2,3,4,5\n", "line 2 has 6 cells, not 5"),
        (HEAD + "1.2,1,2,3,4\n1.2,1,2,3\n", "line 3 has 4 cells, not 5"),
        (HEAD + "1.2,1,2,3,4\n ,1,2,3,4\n", "line 3: seriesuid is empty"),
        (HEAD.strip() + ",coordX\n", "column coordX is there twice"),
        (HEAD.replace(",", ";"), f"{MISSING}: its cells are separated by semicolons"),
        (HEAD.replace(",", "\t"), f"{MISSING}: its cells are separated by tabs"),
        (HEAD + '1.2,"1\n', "line 2: not a table: unexpected end of data"),
    ],
)
def test_faults_are_one_line_that_names_them(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_cells(path, COLUMNS)
    assert str(error.value) == f"{path}: {fault}"


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("1.2,1,2,3,4\n1.3,1,2,3,0\n", "line 3: diameter_mm is 0; negative means unknown"),
        ("1.2,1,2,3,4\n1.3,1,2,3,4\n1.2,1.0,2,3,5\n", "lines 2 and 4 are the same nodule"),
    ],
)
def test_nodules_that_nobody_can_hit_or_that_count_twice(
    tmp_path: Path, rows: str, fault: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + rows)
    table = with_numbers(read_cells(path, COLUMNS), COLUMNS[1:], path)
    with pytest.raises(InputError) as error:
        check_nodules(table, path)
    assert str(error.value) == f"{path}: {fault}"


@pytest.mark.parametrize(
    ("suffix", "packed"),
    [
        ("gz", gzip.compress(HEAD.encode())),
        ("bz2", bz2.compress(HEAD.encode())),
        ("xz", lzma.compress(HEAD.encode())),
        ("zip", zipped("t.csv")),
        ("GZ", gzip.compress(HEAD.encode())),
    ],
    ids=["gz", "bz2", "xz", "zip", "GZ"],
)
def test_packed_tables_are_read_and_damaged_ones_named(
    tmp_path: Path, suffix: str, packed: bytes
) -> None:
    path = tmp_path / f"t.csv.{suffix}"
    path.write_bytes(packed)
    assert read_text(path) == HEAD
    for damaged in (packed[:-12], packed[:20], HEAD.encode(), b"\0" * 30):
        path.write_bytes(damaged)
        with pytest.raises(
            InputError, match=f"t.csv.{suffix}: damaged, or not a .{suffix.lower()}"
        ) as e:
            read_text(path)
        assert "\n" not in str(e.value)


def test_archives_that_hold_no_single_table(tmp_path: Path) -> None:
    (tmp_path / "t.zip").write_bytes(zipped("a.csv", "b.csv"))
    with pytest.raises(InputError, match=r"t\.zip: .*: holds 2 files, not one"):
        read_text(tmp_path / "t.zip")
    with pytest.raises(InputError, match=r"t\.csv\.zst: \.zst is not supported: decompress it"):
        read_text(tmp_path / "t.csv.zst")
