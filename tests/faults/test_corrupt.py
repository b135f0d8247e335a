"""A damaged artefact: named, moved aside as NAME.corrupt, made anew by the rerun."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import artefacts
import numpy as np
import pandas as pd
import pytest
import running
import small_cohort
import tiny
import torch

from nodulenet.annotations import Mark, Reading, Roi, Session, read_reading, write_reading
from nodulenet.annotations.consensus import Group
from nodulenet.cohort import read_folds, read_manifest
from nodulenet.cohort.annotate import leave_out
from nodulenet.files import CorruptArtefact, read_json, set_aside
from nodulenet.imaging import blank, findings_table, read_nodules, write_nodules
from nodulenet.imaging.store import open_scan
from nodulenet.inference.table import read_predictions
from nodulenet.masks import CroppedMask, read_masks
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance, load_weights, save_weights
from nodulenet.settings import ModelSettings, Recipe

RESULTS = "results/tiny"
FLIPS = 60


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def faults(printed: str) -> list[str]:
    assert "Traceback" not in printed
    return sorted(line for line in printed.splitlines() if line.startswith("error: "))


@pytest.mark.slow
def test_a_rerun_makes_what_was_damaged(first_run: Path, finished: Path) -> None:
    results = finished / RESULTS
    folds = read_folds(results / "folds.tsv").set_index("series_uid")["fold"]
    scan = next(s for s in tiny.SERIES if folds[s] == 0 and tiny.NODULES[s])

    cut(results / f"fold0/full/masks/{scan}.npz")
    (results / "full/segmentation.csv").unlink()
    told = faults(running.fail(finished, f"{RESULTS}/full/segmentation.csv"))
    assert len(told) == 1
    assert told[0].startswith(f"error: {RESULTS}/fold0/full/masks/{scan}.npz: damaged or cut short")
    masks = f"{RESULTS}/fold0/full/masks"
    assert f"; moved to {masks}.corrupt; ask snakemake for {masks}, then run as before" in told[0]
    assert not (results / "fold0/full/masks").exists()

    cut(results / f"volumes/{scan}.npy")
    (results / "fold0/ncs/predictions.csv").unlink()
    flip(results / "fold0/ncs/momentum.pt", 200)
    shutil.rmtree(results / "fold0/full")  # its training sees the scans of fold 1 alone
    targets = [f"{RESULTS}/fold0/ncs/predictions.csv", f"{RESULTS}/fold0/full/weights.pt"]
    told = faults(running.fail(finished, "--keep-going", *targets))
    volumes = f"{RESULTS}/volumes/{scan}"
    assert len(told) == 2
    assert told[0].startswith(f"error: {RESULTS}/fold0/ncs/momentum.pt: ")
    assert f"; moved to {RESULTS}/fold0/ncs/momentum.pt.corrupt; ask" in told[0]
    assert told[1].startswith(f"error: {volumes}.npy: damaged or cut short: ")
    assert (
        f"; moved to {volumes}.npy.corrupt, {volumes}.json.corrupt;"
        f" ask snakemake for {volumes}.json, then run as before"
    ) in told[1]
    # Asked for it, Snakemake sees that the record is what it was, and trains nothing again for it.
    running.run(finished, f"{volumes}.json")
    jobs = running.plan(finished)
    assert not any(word in job for job in jobs for word in ("preprocess", "manifest", "patients"))
    assert {job for job in jobs if job.startswith("train")} == {
        f"train stage {stage} without fold 0" for stage in ("ncs", "full")
    }

    reading = results / f"annotations/{scan}.json"
    flip(reading, reading.read_bytes().index(b'"sessions"'))
    (results / f"nodules/{scan}.npz").unlink()
    skip = ("--config", "on_bad_scan=skip")
    told = faults(running.fail(finished, f"{RESULTS}/nodules/{scan}.npz", *skip))
    assert len(told) == 1
    assert told[0].startswith(f"error: {RESULTS}/annotations/{scan}.json: not valid JSON")
    assert reading.with_name(f"{reading.name}.corrupt").exists()
    running.run(finished, f"{RESULTS}/nodules/{scan}.npz")

    running.run(finished)
    expected, found = (artefacts.tree(folder / RESULTS) for folder in (first_run, finished))
    found = {name: content for name, content in found.items() if ".corrupt" not in name}
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def write_all(folder: Path) -> dict[str, Callable[[Path], Any]]:
    """One artefact of every kind in a folder: its name, and what reads it."""
    small_cohort.build(folder)
    roi = Roi(1.5, True, ((1.0, 2.0), (3.0, 4.0)))
    session = Session("a", (Mark("nodule", "m", (roi,), {"subtlety": 3}),))
    reading = Reading("1.2", (session,), "x.xml", "0" * 64)
    write_reading(reading, folder / "reading.json")
    mask = CroppedMask(np.ones((2, 3, 4), bool), (5, 6, 7))
    group = Group(((0, 0),), *mask, (mask,))
    table = findings_table(reading, [group], blank(np.eye(4), (20, 30, 40)), 1)
    write_nodules(folder / "n.npz", folder / "n.csv", [group], table)
    net = NoduleNet(width=0.05)
    trained = Recipe(model=ModelSettings(width=0.05))
    save_weights(net, Provenance(trained, ("ncs",), "ncs", 0, 1), folder / "w.pt")
    return {
        "manifest.tsv": read_manifest,
        "folds.tsv": read_folds,
        "full/predictions.csv": read_predictions,
        "fold0/full/masks/s0.npz": read_masks,
        "volumes/s0.npy": lambda path: open_scan(path, path.with_name("s0.json")),
        "volumes/s0.json": lambda path: open_scan(path.with_name("s0.npy"), path),
        "reading.json": read_reading,
        "n.npz": lambda path: read_nodules(path, path.with_name("n.csv")),
        "n.csv": lambda path: read_nodules(path.with_name("n.npz"), path),
        "w.pt": load_weights,
    }


KINDS = (
    "manifest.tsv", "folds.tsv", "full/predictions.csv", "fold0/full/masks/s0.npz",
    "volumes/s0.npy", "volumes/s0.json", "reading.json", "n.npz", "n.csv", "w.pt",
)  # fmt: skip


def damage_found(read: Callable[[], Any]) -> CorruptArtefact | None:
    try:
        read()
    except CorruptArtefact as error:
        return error
    return None


@pytest.mark.parametrize("name", KINDS)
def test_no_damage_ends_in_anything_but_a_corrupt_artefact(tmp_path: Path, name: str) -> None:
    path, read = tmp_path / name, write_all(tmp_path)[name]
    read(path)
    content = path.read_bytes()
    refused = 0
    for number in range(FLIPS):
        generator = random.Random(f"{name} {number}")
        damaged = bytearray(content)
        if number % 4:
            # The head and the tail are where a format keeps its own.
            at = generator.randrange(min(len(content), 256)) * generator.choice((1, -1))
            damaged[at] ^= 1 << generator.randrange(8)
        else:
            del damaged[generator.randrange(len(content)) :]
        path.write_bytes(damaged)
        fault = damage_found(lambda: read(path))
        if fault is not None:
            assert str(fault).startswith(str(tmp_path))
            assert fault.files
            refused += 1
    # A flip within a number or a name cannot be told from another number or name.
    assert refused > FLIPS // 8
    path.unlink()
    with pytest.raises(CorruptArtefact, match=f"{path.name}: No such file"):
        read(path)


def test_a_table_of_predictions_cut_at_a_line_is_noticed(tmp_path: Path) -> None:
    from nodulenet.files import write_json
    from nodulenet.inference.table import read_fold

    small_cohort.build(tmp_path)
    path = tmp_path / "full/predictions.csv"
    counts = pd.read_csv(path)["seriesuid"].value_counts().to_dict()
    write_json(path.with_name("predictions.json"), {"scans": list(counts), "candidates": counts})
    assert read_fold(path.parent) == list(counts)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(CorruptArtefact, match=r"predictions\.csv: scan s2: 0 rows"):
        read_fold(path.parent)


def test_a_damaged_artefact_is_no_bad_scan(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(CorruptArtefact) as caught:
        read_json(tmp_path / "a.json")
    with pytest.raises(CorruptArtefact):
        leave_out("1.2", caught.value, "skip")


def test_what_is_set_aside_takes_the_place_of_what_was(tmp_path: Path) -> None:
    for content in ("first", "second"):
        folder = tmp_path / "masks"
        folder.mkdir()
        (folder / "a").write_text(content)
        assert set_aside(folder) == tmp_path / "masks.corrupt"
    assert (tmp_path / "masks.corrupt/a").read_text() == "second"
    assert set_aside(folder) is None
    assert [path.name for path in tmp_path.iterdir()] == ["masks.corrupt"]


@pytest.mark.slow
def test_given_weights_are_not_moved(finished: Path) -> None:
    """A job sets aside what lies below its own results, and nothing of anybody else's."""
    import sys
    from types import SimpleNamespace

    sys.path.insert(0, str(finished / "workflow_scripts"))
    try:
        from job_log import error_text
    finally:
        del sys.path[0]
    job = SimpleNamespace(output=[f"{finished}/results/tiny/fold0/full/predictions.csv"])
    given = finished / "results/other/weights.pt"
    given.parent.mkdir()
    torch.save([1], given)
    with pytest.raises(CorruptArtefact) as caught:
        load_weights(given)
    assert error_text(caught.value, job) == f"{given}: holds a list, not a table of tensors"
    assert given.exists()
    given.unlink()
    with pytest.raises(CorruptArtefact) as caught:
        load_weights(given)
    assert error_text(caught.value, job) == f"{given}: No such file or directory"
