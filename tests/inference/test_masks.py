"""Cropped masks: overlap, suppression, files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.files import InputError
from nodulenet.inference.masks import (
    CroppedMask,
    mask_iou,
    read_masks,
    suppress_masks,
    tight,
    write_masks,
)


def cube(offset: tuple[int, int, int], side: int = 4) -> CroppedMask:
    return CroppedMask(np.ones((side,) * 3, bool), np.array(offset))


def random_mask(rng: np.random.Generator) -> CroppedMask:
    return CroppedMask(rng.random(rng.integers(1, 6, 3)) < 0.6, rng.integers(0, 6, 3))


def in_grid(m: CroppedMask) -> np.ndarray:
    grid = np.zeros((12, 12, 12), bool)
    grid[tuple(slice(a, a + n) for a, n in zip(m.offset, m.mask.shape, strict=True))] = m.mask
    return grid


@given(st.integers(0, 100_000))
def test_overlap_is_that_of_the_whole_grids(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_mask(rng), random_mask(rng)
    union = (in_grid(a) | in_grid(b)).sum()
    expected = (in_grid(a) & in_grid(b)).sum() / union if union else 0
    assert mask_iou(a, b) == pytest.approx(expected)


def test_suppression_is_greedy_in_the_order_given() -> None:
    # Neighbours shifted by one voxel overlap by 48 / 80 = 0.6, those by two by 1/3, three 1/7.
    masks = {5: cube((0, 0, 0)), 3: cube((0, 0, 1)), 9: cube((0, 0, 3)), 1: tight_empty()}
    assert list(suppress_masks(masks, 0.3)) == [5, 9]
    assert list(suppress_masks(masks, 0.6)) == [5, 3, 9]


def tight_empty() -> CroppedMask:
    return tight(np.zeros((3, 3, 3), bool), np.zeros(3, np.int64))


def test_tight_cuts_to_the_box() -> None:
    mask = np.zeros((5, 6, 7), bool)
    mask[1:3, 2, 4:6] = True
    m = tight(mask, np.array([10, 20, 30]))
    assert m.mask.shape == (2, 1, 2)
    assert m.offset.tolist() == [11, 22, 34]
    assert tight_empty().mask.size == 0


def test_masks_come_back_as_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    masks = {row: random_mask(rng) for row in (4, 2, 77)}
    write_masks(masks, tmp_path / "scan.npz")
    found = read_masks(tmp_path / "scan.npz")
    assert list(found) == [4, 2, 77]
    for row, m in masks.items():
        np.testing.assert_array_equal(found[row].mask, m.mask)
        np.testing.assert_array_equal(found[row].offset, m.offset)
    write_masks({}, tmp_path / "none.npz")
    assert read_masks(tmp_path / "none.npz") == {}


def test_a_broken_mask_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scan.npz"
    write_masks({1: cube((0, 0, 0))}, path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"scan\.npz"):
        read_masks(path)
