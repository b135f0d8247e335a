"""The scan table: what is read, and how each fault is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from nodulenet.files import InputError
from nodulenet.scan_table import (
    NO_FOLD,
    PATHS,
    MaskFile,
    fixed_folds,
    missing_files,
    read_scan_table,
    read_scans,
    with_labels,
)

HEAD = "series_uid\tpatient_id\tct\tannotations\tlung_mask"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "scans.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_paths_are_resolved_against_the_table(tmp_path: Path) -> None:
    table = read_scan_table(write(tmp_path, HEAD, "1.2\tA\tct/a.mhd\t/far/a.xml\t"))
    assert table.to_dict("records") == [
        {
            "series_uid": "1.2",
            "patient_id": "A",
            "ct": str(tmp_path / "ct/a.mhd"),
            "annotations": "/far/a.xml",
            "lung_mask": "",
        }
    ]
    assert fixed_folds(table) is None


def test_uids_stay_text(tmp_path: Path) -> None:
    table = read_scan_table(write(tmp_path, HEAD, "1.10\t007\ta\t\t", "1.1\tNA\tb\t\t"))
    assert list(table["series_uid"]) == ["1.10", "1.1"]
    assert list(table["patient_id"]) == ["007", "NA"]


def test_fixed_folds(tmp_path: Path) -> None:
    table = read_scan_table(
        write(tmp_path, HEAD + "\tfold", "1.1\tA\ta\t\t\t1", "1.2\tB\tb\t\t\t0")
    )
    assert fixed_folds(table) == {"1.1": 1, "1.2": 0}


def test_a_scan_that_is_only_trained_on_has_no_fold(tmp_path: Path) -> None:
    table = read_scan_table(write(tmp_path, HEAD + "\tfold", "1.1\tA\ta\t\t\ttrain"))
    assert fixed_folds(table) == {"1.1": NO_FOLD}


def test_labels_of_each_file(tmp_path: Path) -> None:
    rows = (f"1.{k}\tA\ta\tb;c\t\t{cell}" for k, cell in enumerate(("1,30; none", ";2", "")))
    cells = [scan["labels"] for scan in read_scans(write(tmp_path, HEAD + "\tlabels", *rows))]
    b, c = Path("b"), Path("c")
    assert [with_labels(["b", "c"], cell) for cell in cells] == [
        [MaskFile(b, frozenset({1, 30})), MaskFile(c, frozenset())],
        [b, MaskFile(c, frozenset({2}))],
        [b, c],
    ]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (("series_uid\tpatient_id\tct\tannotations", "1\tA\ta\t"), "no column lung_mask"),
        ((HEAD + "\tlung", "1\tA\ta\t\t\t"), "unknown column 'lung'"),
        ((HEAD, "1.1\tA\ta\t\t", "1.1\tA\tb\t\t"), "scan 1.1 is listed more than once"),
        ((HEAD, "1.1\tA\ta\t\t", "../1\tA\tb\t\t"), "line 3: series_uid '../1' is not a UID"),
        ((HEAD, "1..2\tA\ta\t\t"), "series_uid '1..2' is not a UID"),
        ((HEAD, "1" * 65 + "\tA\ta\t\t"), "is not a UID"),
        ((HEAD, "1.1\t\ta\t\t"), "scan 1.1: patient_id is empty"),
        ((HEAD, "1.1\tA\t\t\t"), "scan 1.1: ct is empty"),
        (
            (HEAD + "\tfold", "1.1\tA\ta\t\t\tone"),
            "scan 1.1: fold 'one' is neither a number nor `train`",
        ),
        (
            (HEAD + "\tlabels", "1.1\tA\ta\tb;c\t\t1"),
            "labels '1': of 1 files, but annotations has 2",
        ),
        ((HEAD + "\tlabels", "1.1\tA\ta\t\t\t1"), "labels '1': of 1 files, but annotations has 0"),
        ((HEAD + "\tlabels", "1.1\tA\ta\tb\t\t1,x"), "labels '1,x': not numbers separated by"),
        ((HEAD + "\tlabels", "1.1\tA\ta\tb\t\t-1"), "labels '-1': not numbers separated by"),
        ((HEAD,), "contains no scan"),
        ((HEAD, "1.1\tA\ta"), "line 2 has 3 cells, not 5"),
        ((HEAD, "1.1\tA\ta\t\t", "1.2\tA\ta\t\t\t"), "line 3 has 6 cells, not 5"),
        ((HEAD + "\tct",), "column ct is there twice"),
        ((), "is empty"),
    ],
)
def test_faults_name_the_table(tmp_path: Path, lines: tuple[str, ...], fault: str) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(InputError) as error:
        read_scan_table(path)
    assert str(error.value).startswith(f"{path}: ")
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scans\.tsv: No such file"):
        read_scan_table(tmp_path / "scans.tsv")


def test_paths_are_seen_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here/tables", "far/away"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "here/link").symlink_to(tmp_path / "far/away")
    monkeypatch.chdir(tmp_path / "here")
    row = "1.1\tA\t../a.mhd\tb.xml\t../../c.mhd"
    write(tmp_path / "here/tables", HEAD, row)
    (scan,) = read_scans("tables/scans.tsv")
    assert [scan[name] for name in PATHS] == ["a.mhd", "tables/b.xml", str(tmp_path / "c.mhd")]
    # What is above a linked folder is above the place that the link leads to.
    write(tmp_path / "here/link", HEAD, row)
    (scan,) = read_scans("link/scans.tsv")
    assert scan["ct"] == str(tmp_path / "far/a.mhd")
    assert scan["annotations"] == "link/b.xml"


def test_missing_files_are_those_that_nobody_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mhd").touch()
    made = "\t".join(f"results/demo/source/1{end}" for end in (".mhd", ".xml", "_lungs.mhd"))
    rows = ("1.1\tA\ta.mhd\ta.xml\t", f"1.2\tA\t{made}", "1.3\tA\tresults/demo/source.mhd\t\t")
    scans = read_scans(write(tmp_path, HEAD, *rows))
    assert missing_files(scans) == [("annotations", "a.xml"), ("ct", "results/demo/source.mhd")]


def test_no_data_frame_is_imported_for_the_rules() -> None:
    heavy = "{'pandas', 'numpy', 'torch', 'scipy', 'SimpleITK'}"
    light = "scan_table, settings, plan, source_code"
    script = f"from nodulenet import {light}; import sys; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"set()\n"
