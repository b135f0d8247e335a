"""Who computes which samples of an epoch."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.training.feed import MicroBatch, cut_ahead, share_epoch

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


def test_the_published_batch_in_four_parts() -> None:
    (step,) = share_epoch(16, 16, 4)
    assert step == [MicroBatch(k, k + 4, 0.25) for k in (0, 4, 8, 12)]


def test_an_uneven_batch_is_weighted_by_its_crops() -> None:
    (step,) = share_epoch(5, 16, 2)
    assert [(m.first, m.stop) for m in step] == [(0, 1), (1, 3), (3, 5)]
    assert [m.weight for m in step] == [0.2, 0.4, 0.4]


def test_crops_are_cut_a_step_ahead_and_in_order() -> None:
    steps = share_epoch(10, 4, 2)
    cut, ahead = [], threading.Event()

    def make(number: int) -> tuple[np.ndarray, np.ndarray]:
        cut.append(number)
        if number == 7:
            ahead.set()
        return np.full((1, 1, 1), number, np.uint8), np.full((1, 1, 1), -number)

    feed = cut_ahead(steps, make, 2)
    first = next(feed)
    assert ahead.wait(60)  # the second step is cut though nobody has asked for it
    assert 8 not in cut
    parts = [part for step in [first, *feed] for part in step]
    numbers = [image.ravel().tolist() for image, _ in parts]
    assert numbers == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert all(np.array_equal(labels, -image.astype(int)) for image, labels in parts)
