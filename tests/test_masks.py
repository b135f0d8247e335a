"""Cropped masks: overlap, suppression, files."""

from pathlib import Path

import numpy as np
import pytest

from nodulenet.files import InputError
from nodulenet.masks import (
    CroppedMask,
    read_masks,
    suppress_masks,
    write_masks,
)

EMPTY = CroppedMask(np.zeros((0, 0, 0), bool), (0, 0, 0))


def cube(offset: tuple[int, int, int], side: int = 4) -> CroppedMask:
    return CroppedMask(np.ones((side,) * 3, bool), offset)


def random_mask(rng: np.random.Generator) -> CroppedMask:
    z, y, x = rng.integers(0, 6, 3).tolist()
    return CroppedMask(rng.random(rng.integers(1, 6, 3)) < 0.6, (z, y, x))


def test_suppression_is_greedy_in_the_order_given() -> None:
    # Neighbours shifted by one voxel overlap by 48 / 80 = 0.6, those by two by 1/3, three 1/7.
    masks = {5: cube((0, 0, 0)), 3: cube((0, 0, 1)), 9: cube((0, 0, 3)), 1: EMPTY}
    assert list(suppress_masks(masks, 0.3)) == [5, 9]
    assert list(suppress_masks(masks, 0.6)) == [5, 3, 9]


def test_masks_come_back_as_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    masks = {row: random_mask(rng) for row in (4, 2, 77)}
    write_masks(masks, tmp_path / "scan.npz")
    found = read_masks(tmp_path / "scan.npz")
    assert list(found) == [4, 2, 77]
    for row, m in masks.items():
        np.testing.assert_array_equal(found[row].mask, m.mask)
        assert found[row].offset == m.offset
    write_masks({}, tmp_path / "none.npz")
    assert read_masks(tmp_path / "none.npz") == {}


def test_a_broken_mask_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scan.npz"
    write_masks({1: cube((0, 0, 0))}, path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"scan\.npz"):
        read_masks(path)
