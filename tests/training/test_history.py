"""The record of an epoch, worked by hand, in the table, the log and TensorBoard."""

from pathlib import Path

import pandas as pd
import pytest
import small_training
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nodulenet.training.distributed import Rank
from nodulenet.training.engine import EpochResult
from nodulenet.training.history import (
    add_events,
    history_row,
    new_events,
    summary,
    write_history,
)
from nodulenet.training.job import Run
from nodulenet.training.stages import Stage

STAGE = Stage("dfps", ("ncs", "dfps"), 3, 10, 20)
# 30 crops in 10 steps of 12.5 s, of which 2.5 s were spent waiting.
RESULT = EpochResult(1.25, {"ncs_class": 1.0, "ncs_box": 0.25}, 10, 30, 12.5, 2.5)
SPEED = {"samples_per_s": 2.4, "data_wait_s": 2.5, "step_s": 1.0}


def row_of(found: dict) -> dict:
    own = small_training.SETTINGS["train"] | {"batch": 8}
    job = small_training.job((Path(), Path()), "ncs", Path(), {"train": own})
    return history_row(Run(job, STAGE, Rank(0, 4)), 1, RESULT, found)


@pytest.fixture
def row() -> dict:
    return row_of({})


def test_the_table_has_the_speed(row: dict, tmp_path: Path) -> None:
    write_history([row], tmp_path / "history.csv")
    (read,) = pd.read_csv(tmp_path / "history.csv").to_dict("records")
    assert {name: read[name] for name in SPEED} == SPEED
    assert (read["epoch"], read["processes"], read["micro_batch"]) == (11, 4, 2)


def test_the_log_has_the_speed(row: dict) -> None:
    assert summary(row) == "loss 1.2500, 2.4 crops/s, 2.5 s waited for crops, 1.0 s per step"


def test_the_log_has_live_units_and_the_scores_of_the_patients_held_out() -> None:
    row = row_of({"loss": 2.5, "sr": 1.5, "cpm": 0.8}) | {"dfps_live_1": 0.934}
    expected = ", 1.0 s per step, dfps_live_1 93%, val_loss 2.5000, val_cpm 0.8000"
    assert summary(row).endswith(expected)


def test_the_table_has_live_units_and_the_scores_of_the_patients_held_out(
    row: dict, tmp_path: Path
) -> None:
    later = row_of({"loss": 2.5, "sr": 1.5, "cpm": 0.8}) | {"ncs_live": 0.5}
    write_history([row, later], tmp_path / "history.csv")
    table = pd.read_csv(tmp_path / "history.csv")
    names = ["ncs_live", "val_loss", "val_sr", "val_cpm"]
    assert table[names].iloc[1].tolist() == [0.5, 2.5, 1.5, 0.8]
    assert table[[*names, "val_ncs_class"]].iloc[0].isna().all()


def test_tensorboard_has_the_speed(row: dict, tmp_path: Path) -> None:
    writer = new_events(tmp_path, [row])
    add_events(writer, {**row, "epoch": 12, "step_s": 3.0})
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    for name, value in SPEED.items():
        first, second = events.Scalars(name)
        assert (first.step, second.step) == (11, 12)
        assert first.value == pytest.approx(value)
        assert second.value == pytest.approx(3.0 if name == "step_s" else value)
    assert "sr" not in events.Tags()["scalars"]  # no branch of the stage
