"""SIGKILL at seeded moments, twenty in all: what comes out in the end has the same bytes."""

import random
from pathlib import Path

import killing
import pandas as pd
import running
import tiny

RESULTS = "results/tiny"
# Adapter, kills, writes of one job (files opened and renamed), and the targets to ask for in turn.
DRILLS = (
    ("annotations", 4, 2, [f"annotations/{series}.json" for series in tiny.SERIES]),
    ("preprocess", 4, 6, [f"volumes/{series}.json" for series in tiny.SERIES]),
    ("train", 5, 22, ["fold0/ncs/weights.pt", *(["fold0/full/weights.pt"] * 4)]),
    ("predict", 4, 10, ["fold0/full/predictions.csv", "fold1/full/predictions.csv"]),
    ("concat", 3, 2, ["full/predictions.csv"]),
)
TIMINGS = ["seconds", "samples_per_s"]


def tree(folder: Path) -> dict[str, bytes]:
    """The artefacts below a folder, but for TensorBoard's events and what a kill left behind."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    wanted = [p for p in paths if "tensorboard" not in p.parts and not p.name.startswith(".")]
    return {str(path.relative_to(folder)): artefact(path) for path in wanted}


def artefact(path: Path) -> bytes:
    """A file's bytes; of a history all but its timings."""
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns=TIMINGS).to_csv().encode()
    return path.read_bytes()


def test_a_cohort_killed_twenty_times_ends_as_one_that_was_not(
    first_run: Path, fresh: Path
) -> None:
    generator = random.Random(5)
    kills = 0
    for script, times, writes, targets in DRILLS:
        for number in range(times):
            target = f"{RESULTS}/{targets[number % len(targets)]}"
            killing.killed(fresh, script, killing.moment(generator, writes), target)
            kills += 1
            if kills == 1:
                assert "--unlock" in running.fail(fresh, target)
            running.run(fresh, "--unlock")
    assert kills == 20
    running.run(fresh)
    expected, found = tree(first_run / RESULTS), tree(fresh / RESULTS)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    left = [path.name for path in (fresh / RESULTS).rglob(".*") if path.is_file()]
    assert all(name.split(".")[1].isdecimal() for name in left), left
