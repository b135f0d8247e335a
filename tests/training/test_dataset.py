"""The scans of a training set: found nodules, and files that are open no longer than needed."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_training

from nodulenet.cohort import read_folds, write_folds
from nodulenet.files import CorruptArtefact
from nodulenet.imaging import Volume, write_scan
from nodulenet.scan_table import NO_FOLD
from nodulenet.settings import AugmentSettings, Recipe, TrainSettings
from nodulenet.training.dataset import Sample, cut_sample, load_scan, load_training_scans

ROW = {"series_uid": "1.2", "volume": "a.npy", "mask": "a_mask.npy", "record": "a.json"}
SETTINGS = Recipe(augment=AugmentSettings(margin=2), train=TrainSettings(crop=32))
SPARE = 24
"""Files that a process may open beside those that it has."""


@pytest.fixture
def few_files() -> Iterator[None]:
    """A process that may open few files, as most may open fewer than a cohort has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = len(os.listdir("/proc/self/fd")) + SPARE  # noqa: PTH208 - a count of descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def write(folder: Path, nodules: dict | None) -> None:
    """A scan with a cube of label 2, whose record names the nodules that were painted."""
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[4:9, 10:14, 11:14] = 2
    record = {"status": "ok"} | ({} if nodules is None else {"nodules": nodules})
    files = {name: folder / ROW[name] for name in ("volume", "record", "mask")}
    write_scan(files, Volume(labels * 50, np.eye(4)), labels, record)


def test_nodules_are_the_boxes_of_their_labels(tmp_path: Path) -> None:
    write(tmp_path, {"1": {"voxels": 0, "lost": "outside"}, "2": {"voxels": 60, "lost": ""}})
    scan = load_scan(tmp_path, ROW)
    assert scan.centres.tolist() == [[6, 11.5, 12]]
    assert scan.extents.tolist() == [5]
    assert scan.shape == (20, 24, 28)


@pytest.mark.parametrize("nodules", [{}, {"1": {"voxels": 0, "lost": "outside the crop"}}])
def test_labels_without_a_painted_nodule_are_not_searched(tmp_path: Path, nodules: dict) -> None:
    write(tmp_path, nodules)
    assert load_scan(tmp_path, ROW).centres.shape == (0, 3)


def test_hard_negatives_are_given_in_mm_and_cut_where_they_lie(tmp_path: Path) -> None:
    labels = np.zeros((40, 44, 48), np.uint8)
    image = np.full(labels.shape, 50, np.uint8)
    image[30, 20, 8] = 250
    affine = np.array([[0, 0, 2, -9], [0, 2, 0, 5], [2, 0, 0, 7], [0, 0, 0, 1]], float)
    files = {name: tmp_path / ROW[name] for name in ("volume", "record", "mask")}
    write_scan(files, Volume(image, affine), labels, {"status": "ok"})
    marks = pd.DataFrame({"coordX": [2 * 8 - 9.0], "coordY": [2 * 20 + 5.0], "coordZ": [67.0]})
    scan = load_scan(tmp_path, ROW, marks)
    assert scan.negatives.tolist() == [[30, 20, 8]]
    for seed in range(9):
        rng = np.random.default_rng(seed)
        crop, _ = cut_sample([scan], Sample(0, negative=0), SETTINGS, rng)
        assert crop.max() > 60


def test_each_scan_has_its_own_hard_negatives(tmp_path: Path) -> None:
    manifest, folds = small_training.write_cohort(tmp_path)
    table = tmp_path / "hard_negatives.csv"
    table.write_text(
        "seriesuid,coordX,coordY,coordZ,probability\n1.2,3,2,1,0.9\n1.1,6,5,4,0.8\n1.2,9,8,7,0.7\n"
    )
    scans = load_training_scans(manifest, folds, 1, table)
    found = {scan.series_uid: scan.negatives.tolist() for scan in scans}
    assert found == {"1.0": [], "1.2": [[3, 2, 1], [9, 8, 7]]}


@pytest.mark.usefixtures("few_files")
def test_more_scans_than_a_process_may_open_files(tmp_path: Path) -> None:
    write(tmp_path, None)
    scans = [load_scan(tmp_path, ROW) for _ in range(2 * SPARE)]
    crops = []
    for k in range(len(scans)):
        rng = np.random.default_rng(0)
        crops.append(cut_sample(scans, Sample(k, 0), SETTINGS, rng))
    assert (crops[0][1] == 2).any()
    assert all(
        (image == crops[0][0]).all() and (labels == crops[0][1]).all() for image, labels in crops
    )


def test_scans_in_no_fold_are_trained_on_for_every_fold(tmp_path: Path) -> None:
    manifest, folds = small_training.write_cohort(tmp_path)
    table = read_folds(folds)
    table["fold"] = NO_FOLD
    write_folds(table, folds)
    for fold in (0, 1):
        assert len(load_training_scans(manifest, folds, fold)) == len(table)


def test_a_volume_that_was_damaged_on_the_way_is_named(tmp_path: Path) -> None:
    manifest, folds = small_training.write_cohort(tmp_path)
    scans = load_training_scans(manifest, folds, 1)
    scans[0].volume.write_bytes(b"")
    with pytest.raises(CorruptArtefact, match=scans[0].volume.name):
        cut_sample(scans, Sample(0, 0), SETTINGS, np.random.default_rng(0))
