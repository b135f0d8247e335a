"""SIGKILL at seeded moments, twenty in all: what comes out in the end has the same bytes."""

import random
from pathlib import Path

import artefacts
import killing
import pytest
import running
import tiny

pytestmark = pytest.mark.slow

RESULTS = "results/tiny"
# Adapter, kills, writes of one job (files opened and renamed), and the targets to ask for in turn.
DRILLS = (
    ("annotations", 4, 2, [f"annotations/{series}.json" for series in tiny.SERIES]),
    ("preprocess", 4, 6, [f"volumes/{series}.json" for series in tiny.SERIES]),
    ("train", 5, 22, ["fold0/ncs/weights.pt", *(["fold0/full/weights.pt"] * 4)]),
    ("predict", 4, 10, ["fold0/full/predictions.csv", "fold1/full/predictions.csv"]),
    ("concat", 3, 2, ["full/predictions.csv"]),
)


def test_a_cohort_killed_twenty_times_ends_as_one_that_was_not(
    first_run: Path, fresh: Path
) -> None:
    generator = random.Random(5)
    kills = 0
    for script, times, writes, targets in DRILLS:
        for number in range(times):
            target = f"{RESULTS}/{targets[number % len(targets)]}"
            free = ("--nolock",) if kills else ()
            killing.killed(fresh, script, killing.moment(generator, writes), target, *free)
            kills += 1
            if kills == 1:  # every kill leaves the lock; from here on none is made or heeded
                assert "--unlock" in running.fail(fresh, target)
                running.run(fresh, "--unlock")
    assert kills == 20
    running.run(fresh)
    expected, found = (artefacts.tree(folder / RESULTS) for folder in (first_run, fresh))
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    left = [path.name for path in (fresh / RESULTS).rglob(".*") if path.is_file()]
    left = [name for name in left if name != ".snakemake_timestamp"]
    assert all(name.split(".")[1].isdecimal() for name in left), left
