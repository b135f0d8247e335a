"""predictions.csv: columns in world mm, and the joining of folds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nodulenet.annotations.challenge_csv import MARK_COLUMNS, parse_together, read_table
from nodulenet.files import InputError, write_json
from nodulenet.imaging import Volume
from nodulenet.inference.scan import ScanPrediction
from nodulenet.inference.table import (
    COLUMNS,
    NUMBERS,
    concat_predictions,
    prediction_table,
    read_predictions,
    write_predictions,
)

# z, y, x -> LPS: 1 mm, y and x turned round, origin at (100, 50, -20).
GRID = Volume(
    np.zeros((1, 1, 1), np.uint8),
    np.array([[0, 0, -1, 100], [0, -1, 0, 50], [1, 0, 0, -20], [0, 0, 0, 1]], float),
)


def two_candidates(dfps: bool = True) -> ScanPrediction:
    boxes = np.array([[10, 20, 30, 18, 13, 9], [1, 2, 3, 4, 5, 6]], np.float32)
    decoded = boxes + np.float32(1) if dfps else None
    return ScanPrediction(
        boxes,
        np.array([0.9, 0.7], np.float32),
        decoded,
        np.array([0.1, 0.8], np.float32) if dfps else None,
        np.array([False, True]),
        {},
    )


def test_rows_are_world_mm_by_falling_ensemble_probability() -> None:
    table, order = prediction_table("1.2", two_candidates(), GRID, 8, fold=2)
    assert list(table.columns) == list(COLUMNS)
    assert list(table.columns[:5]) == ["seriesuid", "coordX", "coordY", "coordZ", "probability"]
    assert order.tolist() == [1, 0]
    assert table.probability.tolist() == pytest.approx([0.75, 0.5])
    second = table.iloc[1]
    assert [second.coordX, second.coordY, second.coordZ] == [70, 30, -10]
    # The margin of 8 voxels is taken off; what is smaller keeps one voxel.
    assert [second.depth_mm, second.height_mm, second.width_mm] == [10, 5, 1]
    assert second.diameter_mm == 10
    assert [second.dfps_coordX, second.dfps_coordY, second.dfps_coordZ] == [69, 29, -9]
    assert second.dfps_depth_mm == 11
    assert table.kept.tolist() == [1, 0]
    assert table.fold.tolist() == [2, 2]


def test_without_dfps_the_probability_is_that_of_ncs() -> None:
    table, _ = prediction_table("1.2", two_candidates(dfps=False), GRID, 8, fold=0)
    assert table.probability.tolist() == pytest.approx([0.9, 0.7])
    assert table.dfps_probability.isna().all()
    assert table.dfps_coordX.isna().all()


def fold_folder(root: Path, fold: int, scans: list[str], rows: list[str]) -> Path:
    folder = root / f"fold{fold}"
    folder.mkdir()
    tables = [prediction_table(uid, two_candidates(), GRID, 8, fold)[0] for uid in rows]
    write_predictions(tables, folder / "predictions.csv")
    counts = {uid: 2 * rows.count(uid) for uid in scans}
    write_json(folder / "predictions.json", {"scans": scans, "candidates": counts})
    return folder


def folds_table(root: Path, scans: list[str]) -> Path:
    path = root / "folds.tsv"
    rows = {"series_uid": scans, "patient_id": scans, "fold": [0] * len(scans)}
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    return path


def test_folds_are_joined_in_order_and_scans_without_candidates_are_fine(tmp_path: Path) -> None:
    first = fold_folder(tmp_path, 0, ["1.1", "1.2"], ["1.1"])
    second = fold_folder(tmp_path, 1, ["1.3"], [])
    folds = folds_table(tmp_path, ["1.1", "1.2", "1.3"])
    concat_predictions([first, second], folds, tmp_path / "all.csv")
    joined = read_predictions(tmp_path / "all.csv")
    pd.testing.assert_frame_equal(joined, read_predictions(first / "predictions.csv"))


def test_scans_in_no_fold_are_not_missed(tmp_path: Path) -> None:
    only = fold_folder(tmp_path, 0, ["1.1"], ["1.1"])
    folds = folds_table(tmp_path, ["1.1", "1.2"])
    folds.write_text(folds.read_text().replace("1.2\t0", "1.2\ttrain"))
    concat_predictions([only], folds, tmp_path / "all.csv")
    joined = read_predictions(tmp_path / "all.csv")
    pd.testing.assert_frame_equal(joined, read_predictions(only / "predictions.csv"))


def test_joined_rows_are_the_text_of_the_folds(tmp_path: Path) -> None:
    first = fold_folder(tmp_path, 0, ["1.1"], ["1.1"])
    second = fold_folder(tmp_path, 1, ["1.3"], ["1.3"])
    # Without a newline at its end.
    table = first / "predictions.csv"
    table.write_text(table.read_text().rstrip("\n"))
    folds = folds_table(tmp_path, ["1.1", "1.3"])
    concat_predictions([first, second], folds, tmp_path / "all.csv")
    lines = (tmp_path / "all.csv").read_text().splitlines()
    parts = [(folder / "predictions.csv").read_text().splitlines() for folder in (first, second)]
    assert lines == [*parts[0], *parts[1][1:]]
    assert len(lines) == 5


def test_a_fold_with_other_columns_is_an_error(tmp_path: Path) -> None:
    first = fold_folder(tmp_path, 0, ["1.1"], ["1.1"])
    second = fold_folder(tmp_path, 1, ["1.3"], ["1.3"])
    path = second / "predictions.csv"
    table = pd.read_csv(path, dtype=str)
    table[table.columns[::-1]].to_csv(path, index=False)
    folds = folds_table(tmp_path, ["1.1", "1.3"])
    with pytest.raises(InputError, match=r"fold1/predictions\.csv: not the columns of"):
        concat_predictions([first, second], folds, tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()


@pytest.mark.parametrize(
    ("scans", "fault"),
    [
        (["1.1"], "scan 1.2 is missing"),
        (["1.1", "1.2", "1.3"], "scan 1.3 is not in the table"),
        (["1.1", "1.2", "1.2"], "scan 1.2 was predicted more than once"),
    ],
)
def test_a_missing_unknown_or_doubled_scan_is_an_error(
    tmp_path: Path, scans: list[str], fault: str
) -> None:
    folder = fold_folder(tmp_path, 0, scans, ["1.1"])
    folds = folds_table(tmp_path, ["1.1", "1.2"])
    with pytest.raises(InputError, match=fault):
        concat_predictions([folder], folds, tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()


def test_a_row_of_another_fold_is_an_error(tmp_path: Path) -> None:
    folder = fold_folder(tmp_path, 0, ["1.1"], ["1.2"])
    folds = folds_table(tmp_path, ["1.1"])
    with pytest.raises(InputError, match=r"scan 1\.2 is not of this fold"):
        concat_predictions([folder], folds, tmp_path / "all.csv")


@pytest.mark.parametrize("said", [1, 3])
def test_a_table_of_more_or_fewer_rows_than_were_predicted_is_an_error(
    tmp_path: Path, said: int
) -> None:
    folder = fold_folder(tmp_path, 0, ["1.1"], ["1.1"])
    write_json(folder / "predictions.json", {"scans": ["1.1"], "candidates": {"1.1": said}})
    folds = folds_table(tmp_path, ["1.1"])
    with pytest.raises(InputError, match=rf"scan 1\.1: 2 rows, .*predictions\.json says {said}"):
        concat_predictions([folder], folds, tmp_path / "all.csv")


def test_a_table_without_a_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("seriesuid,coordX\n")
    with pytest.raises(InputError, match=r"predictions\.csv: no column coordY"):
        read_predictions(path)


def test_numbers_are_written_so_that_float32_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    probability = np.array([0.9999997, 0.9999996, 1234.567e-9], np.float32)
    boxes = np.array([[0, 0, 1234.567, 9, 9, 9], [-1234.567, 0.1, 1 / 3, 40, 9, 9], [0] * 6])
    plain = Volume(np.zeros((1, 1, 1), np.uint8), np.eye(4)[[2, 1, 0, 3]])
    prediction = ScanPrediction(
        boxes.astype(np.float32), probability, None, None, np.ones(3, bool), {}
    )
    table, _ = prediction_table("1.2", prediction, plain, 8, fold=0)
    write_predictions([table], path)
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert [row[1:5] for row in rows[1:3]] == [
        ["1234.567", "0.0", "0.0", "0.9999997"],
        ["0.33333334", "0.1", "-1234.567", "0.9999996"],
    ]
    back = read_predictions(path)
    for name in NUMBERS:
        read = back[name].to_numpy(np.float32)
        np.testing.assert_array_equal(read, table[name].to_numpy(np.float32))
    assert back["probability"].is_unique
    assert back["dfps_coordX"].isna().all()


@pytest.mark.parametrize("reader", ["alone", "together"])
def test_both_ways_of_reading_give_float32_back(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "predictions.csv"
    rng = np.random.default_rng(0)
    values = np.concatenate([1 - 10 ** -rng.uniform(0, 8, 2000), rng.normal(0, 1000, 2000)])
    table = pd.DataFrame({name: values.astype(np.float32) for name in NUMBERS})
    table = table.assign(seriesuid="1.2", kept=1, fold=0)[list(COLUMNS)]
    write_predictions([table], path)
    together = parse_together([path.read_bytes()], MARK_COLUMNS)
    back = together if reader == "together" else read_table(path, MARK_COLUMNS)
    assert back is not None
    for name in NUMBERS:
        np.testing.assert_array_equal(back[name].to_numpy(np.float32), table[name])
