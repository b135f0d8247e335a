"""Folds: by patient, balanced, seeded, and checked."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.cohort import read_folds, split_folds, write_folds
from nodulenet.files import InputError
from nodulenet.scan_table import NO_FOLD


def manifest(*scans: tuple[str, int], left_out: tuple[str, ...] = ()) -> pd.DataFrame:
    """Scans as (patient, nodules), and patients of scans that were left out."""
    rows = [(f"1.{k}", patient, "ok", count) for k, (patient, count) in enumerate(scans)]
    rows += [(f"2.{k}", patient, "no lungs", 0) for k, patient in enumerate(left_out)]
    return pd.DataFrame(rows, columns=["series_uid", "patient_id", "status", "n_kept"])


def test_by_hand() -> None:
    # Falling counts 5, 4, 2, 1 go to the fold with the fewest nodules: 5|, |4, |4+2, 5+1|.
    # The two scans without nodules then even out the numbers of scans: 2, 2 -> 3, 3.
    table = split_folds(
        manifest(("A", 5), ("B", 4), ("C", 2), ("D", 1), ("E", 0), ("F", 0)), 2, seed=0
    )
    folds = dict(zip(table["patient_id"], table["fold"], strict=True))
    assert folds["A"] == folds["D"] != folds["B"] == folds["C"]
    assert {folds["E"], folds["F"]} == {0, 1}


def test_scans_left_out_have_no_fold() -> None:
    table = split_folds(manifest(("A", 1), ("B", 1), left_out=("C",)), 2, seed=0)
    assert list(table["series_uid"]) == ["1.0", "1.1"]


def test_the_seed_decides() -> None:
    scans = manifest(*((f"P{k}", 1) for k in range(40)))
    first, again, other = (split_folds(scans, 4, seed)["fold"].tolist() for seed in (1, 1, 2))
    assert first == again != other


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), min_size=1, max_size=60),
    st.integers(2, 6),
    st.integers(0, 99),
)
def test_properties(scans: list[tuple[int, int]], number: int, seed: int) -> None:
    table = manifest(*((f"P{patient}", count) for patient, count in scans))
    try:
        folds = split_folds(table, number, seed)
    except InputError:
        return
    assert list(folds["series_uid"]) == list(table["series_uid"])
    assert set(folds["fold"]) == set(range(number))
    assert folds.groupby("patient_id")["fold"].nunique().max() == 1
    counts = table.groupby(folds["fold"])["n_kept"].sum()
    largest = table.groupby("patient_id")["n_kept"].sum().max()
    assert counts.max() - counts.min() <= largest


def test_fixed_folds_are_taken() -> None:
    table = split_folds(manifest(("A", 1), ("B", 1)), 2, 0, {"1.0": 1, "1.1": 0})
    assert table["fold"].tolist() == [1, 0]


def test_a_single_fold_holds_every_scan_and_needs_no_nodule() -> None:
    scans = manifest(("A", 0), ("B", 0), ("A", 0), left_out=("C",))
    fixed = {"1.0": 3, "1.1": 0, "1.2": 1}  # as the official folds of a cohort that is tested on
    table = split_folds(scans, 1, seed=0, fixed=fixed, trained=False)
    assert table["series_uid"].tolist() == ["1.0", "1.1", "1.2"]
    assert table["fold"].tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="no nodule to train on; scans of fold `train` are"):
        split_folds(scans, 1, seed=0, fixed=fixed)


def test_where_nothing_is_trained_no_scan_is_left_out_of_the_test(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scans = manifest(("A", 1), ("B", 0))
    fixed = {"1.0": NO_FOLD, "1.1": 0}
    table = split_folds(scans, 1, seed=0, fixed=fixed, trained=False)
    assert table["fold"].tolist() == [0, 0]
    assert "1 scans of fold `train` are tested too" in caplog.text
    with pytest.raises(InputError, match="no scan is left to test on: all are of fold `train`"):
        split_folds(scans, 1, seed=0, fixed=dict.fromkeys(fixed, NO_FOLD))


def test_scans_to_train_on_alone_are_in_no_fold(tmp_path: Path) -> None:
    scans = manifest(("A", 0), ("B", 2), ("C", 1), left_out=("D",))
    fixed = {"1.0": 0, "1.1": NO_FOLD, "1.2": 4}
    table = split_folds(scans, 1, seed=0, fixed=fixed)
    assert table["fold"].tolist() == [0, NO_FOLD, 0]
    write_folds(table, tmp_path / "folds.tsv")
    assert "1.1\tB\ttrain\n" in (tmp_path / "folds.tsv").read_text()
    assert read_folds(tmp_path / "folds.tsv").equals(table)


@pytest.mark.parametrize(
    ("scans", "number", "fixed", "fault"),
    [
        ([("A", 1), ("B", 1)], 3, None, "fold 2 has no scan: 2 patients do not fill 3 folds"),
        ([("A", 1), ("B", 0)], 2, None, "there is no nodule to train on"),
        ([("A", 1), ("A", 1)], 2, {"1.0": 0, "1.1": 1}, "patient A is in more than one fold"),
        ([("A", 1), ("B", 1)], 2, {"1.0": 0, "1.1": 2}, "scan 1.1 is in fold 2, beyond the 2"),
    ],
)
def test_faults(
    scans: list[tuple[str, int]], number: int, fixed: dict[str, int] | None, fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        split_folds(manifest(*scans), number, 0, fixed)


def test_no_scan_left() -> None:
    with pytest.raises(InputError, match="fold 0 has no scan"):
        split_folds(manifest(left_out=("A", "B")), 2, 0)


def test_round_trip_and_faults(tmp_path: Path) -> None:
    table = split_folds(manifest(("A", 1), ("B", 1)), 2, 0)
    path = tmp_path / "folds.tsv"
    write_folds(table, path)
    pd.testing.assert_frame_equal(read_folds(path), table, check_dtype=False)
    path.write_text("series_uid\tpatient_id\n1.1\tA\n")
    with pytest.raises(InputError, match="no column fold"):
        read_folds(path)
    path.write_text("series_uid\tpatient_id\tfold\n1.1\tA\tx\n")
    with pytest.raises(InputError, match=r"scan 1\.1: fold is not a number"):
        read_folds(path)
