"""Who computes which samples of an epoch."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_training
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.ahead import made_ahead
from nodulenet.files import InputError
from nodulenet.model.targets import truth_boxes
from nodulenet.settings import AugmentSettings, Recipe
from nodulenet.training import feed as feed_module
from nodulenet.training import train_stage
from nodulenet.training.dataset import Crop, TrainingScan, load_training_scans
from nodulenet.training.distributed import Rank
from nodulenet.training.feed import (
    CUT,
    ORDER,
    MicroBatch,
    epoch_feed,
    epoch_samples,
    generator,
    share_epoch,
    target_seed,
)

small = st.integers(1, 9)


@given(st.integers(1, 60), st.integers(1, 20), small)
def test_micro_batches_hold_every_sample_once(samples: int, batch: int, micro: int) -> None:
    steps = share_epoch(samples, batch, micro)
    assert [k for step in steps for m in step for k in range(m.first, m.stop)] == [*range(samples)]
    for number, step in enumerate(steps):
        sizes = [m.stop - m.first for m in step]
        assert sum(sizes) == min(batch, samples - number * batch)
        assert len(step) == -(-sum(sizes) // micro)
        assert max(sizes) - min(sizes) <= 1
        assert [m.weight for m in step] == [size / sum(sizes) for size in sizes]


@given(st.integers(1, 60), st.integers(1, 20), small, small)
def test_synchronised_micro_batches_come_in_whole_rounds(
    samples: int, batch: int, micro: int, together: int
) -> None:
    if batch < together or samples < together:
        return
    steps = share_epoch(samples, batch, micro, together)
    assert [k for step in steps for m in step for k in range(m.first, m.stop)] == [*range(samples)]
    for step in steps:
        assert len(step) % together == 0
        assert all(m.stop > m.first for m in step)
        # The last crops of an epoch may join a batch that is complete.
        assert sum(m.stop - m.first for m in step) < batch + together


@given(
    st.lists(st.tuples(small, st.integers(0, 5)), min_size=1), st.integers(0, 3), st.integers(0, 3)
)
def test_an_epoch_has_every_nodule_and_no_hard_negative_twice(
    counts: list[tuple[int, int]], extra: int, hard: int
) -> None:
    empty, at = Path(), np.zeros((9, 3))
    scans = [
        TrainingScan("", empty, empty, empty, (), at[:n], at[:n, 0], negatives=at[:m])
        for n, m in counts
    ]
    augment = AugmentSettings(random_crops=extra, hard_negatives=hard)
    samples = epoch_samples(scans, augment, np.random.default_rng(0))
    nodules = [(s.scan, s.nodule) for s in samples if s.nodule is not None]
    assert sorted(nodules) == [(k, i) for k, (n, _) in enumerate(counts) for i in range(n)]
    negatives = [(s.scan, s.negative) for s in samples if s.negative is not None]
    assert (
        len(set(negatives)) == len(negatives) == min(hard * len(nodules), sum(m for _, m in counts))
    )
    assert len(samples) == len(nodules) * (1 + extra) + len(negatives)


def test_the_published_batch_in_four_parts() -> None:
    (step,) = share_epoch(16, 16, 4)
    assert step == [MicroBatch(k, k + 4, 0.25) for k in (0, 4, 8, 12)]


def test_an_uneven_batch_is_weighted_by_its_crops() -> None:
    (step,) = share_epoch(5, 16, 2)
    assert [(m.first, m.stop) for m in step] == [(0, 1), (1, 3), (3, 5)]
    assert [m.weight for m in step] == [0.2, 0.4, 0.4]


def test_crops_are_cut_two_steps_ahead_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Recipe.model_validate({**small_training.SETTINGS, "augment": {"random_crops": 4}})
    scans = load_training_scans(*small_training.write_cohort(tmp_path), 1)
    real, cut, ahead = feed_module.cut_sample, [], threading.Event()

    def watched(*args: Any) -> Crop:
        cut.append(args[1])
        if len(cut) == 5:
            ahead.set()
        return real(*args)

    monkeypatch.setattr(feed_module, "cut_sample", watched)
    feed = epoch_feed(scans, settings, [0, 1, 2], Rank(), torch.device("cpu"))
    steps = [next(feed)]
    assert ahead.wait(60)  # five crops in steps of two: all are cut though nobody asked for them
    steps += feed
    assert [len(part.crops.images) for step in steps for part in step] == [2, 2, 1]

    samples = epoch_samples(scans, settings.augment, generator([0, 1, 2], 0, ORDER))
    images = torch.cat([part.crops.images for step in steps for part in step])
    for number, (sample, image) in enumerate(zip(samples, images, strict=True)):
        expected, labels = real(scans, sample, settings, generator([0, 1, 2], number, CUT))
        assert np.array_equal(image[0], expected)
        part = steps[number // 2][0].crops
        assert np.array_equal(part.nodules[number % 2, 0], labels > 0)
        truth = part.truth[number % 2]
        assert np.array_equal(truth[truth[:, 3] > 0], truth_boxes(labels, 8).boxes)
        assert int(part.seeds[number % 2]) == target_seed([0, 1, 2], number)


def test_cubes_are_detected_and_not_segmented(tmp_path: Path) -> None:
    """Positions alone give boxes; no mask is learned from them."""
    settings = Recipe.model_validate(small_training.SETTINGS)
    cohort = small_training.write_cohort(tmp_path, outlined=False)
    scans = load_training_scans(*cohort, 1)
    parts = [
        p for step in epoch_feed(scans, settings, [0], Rank(), torch.device("cpu")) for p in step
    ]
    assert any((part.crops.truth[..., 3] > 0).any() for part in parts)
    assert not any(part.crops.nodules.any() or part.crops.masks.any() for part in parts)
    job = small_training.job(cohort, "full", tmp_path / "full")
    with pytest.raises(InputError, match="sr learns from outlines or masks, and no scan has any"):
        train_stage(job, threads=1)


def test_an_unknown_size_is_not_learned(tmp_path: Path) -> None:
    """Such nodules are examples for the classes; where there are no others, no box is learned."""
    cohort = small_training.write_cohort(tmp_path, unsized=(1,))
    scans = load_training_scans(*cohort, 1)
    settings = Recipe.model_validate(small_training.SETTINGS)
    feed = epoch_feed(scans, settings, [0], Rank(), torch.device("cpu"))
    crops = [part.crops for step in feed for part in step]
    assert any((own.truth[..., 3] > 0).any() for own in crops)
    assert not any(own.sized.any() for own in crops)
    parent = None
    for stage, branches in (("ncs", ("ncs",)), ("full", ("ncs", "dfps"))):
        job = small_training.job(cohort, stage, tmp_path / stage, parent=parent)
        train_stage(job, threads=1)
        parent = job.output
        history = pd.read_csv(job.output / "history.csv")
        for branch in branches:
            assert (history[f"{branch}_class"] > 0).all()
            assert (history[f"{branch}_box"] == 0).all()


def test_a_fault_of_a_thread_that_cuts_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = load_training_scans(*small_training.write_cohort(tmp_path), 1)
    settings = Recipe.model_validate(small_training.SETTINGS)

    def broken(*_: Any) -> Crop:
        raise InputError("a.npy: a fault")

    monkeypatch.setattr(feed_module, "cut_sample", broken)
    with pytest.raises(InputError, match=r"^a\.npy: a fault$"):
        list(epoch_feed(scans, settings, [0], Rank(), torch.device("cpu")))


def test_items_are_made_ahead_and_given_in_order() -> None:
    made: list[int] = []
    given = made_ahead((made.append(k) or k for k in range(5)), 2)
    assert next(given) == 0
    assert made == [0, 1, 2]
    assert list(given) == [1, 2, 3, 4]
    assert list(made_ahead([7], 2)) == [7]
