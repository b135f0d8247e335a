"""The scan table of a synthetic cohort."""

from pathlib import Path

import pytest

from nodulenet import cli
from nodulenet.phantom.table import synthetic_scans
from nodulenet.scan_table import is_made, read_scans

ROOT = Path(__file__).parents[2]


def test_a_longer_table_begins_with_the_scans_of_a_shorter_one() -> None:
    short, long = synthetic_scans(5, 3), synthetic_scans(9, 3)
    assert long[: len(short)] == short
    assert [scan["fold"] for scan in short] == ["0"] * 3 + ["train"] * 5
    assert len({scan["series_uid"] for scan in long}) == len(long) == 12


def test_a_quarter_of_the_scans_have_their_exact_lungs() -> None:
    masks = [scan["lung_mask"] for scan in synthetic_scans(6, 2)]
    assert [bool(mask) for mask in masks] == [False, False, False, True] * 2


def test_the_command_writes_what_the_workflow_renders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--training", "2", "--held-out", "1", "--output", "some.tsv"]
    assert cli.main(["synthetic", *given]) == 0
    scans = read_scans("some.tsv")
    assert scans == synthetic_scans(2, 1)
    assert all(is_made(scan["ct"]) for scan in scans)


def test_the_shipped_table_is_what_the_command_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    scans = read_scans("pretrain.tsv")
    held_out = sum(scan["fold"] == "0" for scan in scans)
    assert held_out >= 60
    assert scans == synthetic_scans(len(scans) - held_out, held_out)
