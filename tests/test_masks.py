"""Cropped masks: crop, union, overlap, suppression, files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from nodulenet.files import InputError
from nodulenet.masks import (
    NO_MASK,
    CroppedMask,
    crop,
    mask_iou,
    read_masks,
    suppress_masks,
    union,
    write_masks,
)


def cube(offset: tuple[int, int, int], side: int = 4) -> CroppedMask:
    return CroppedMask(np.ones((side,) * 3, bool), offset)


def random_mask(rng: np.random.Generator) -> CroppedMask:
    z, y, x = rng.integers(0, 6, 3).tolist()
    return CroppedMask(rng.random(rng.integers(1, 6, 3)) < 0.6, (z, y, x))


def whole(masks: list[CroppedMask], shape: tuple[int, int, int] = (12, 12, 12)) -> np.ndarray:
    """Masks in an array of their grid."""
    out = np.zeros(shape, bool)
    for mask, offset in masks:
        out[tuple(slice(o, o + n) for o, n in zip(offset, mask.shape, strict=True))] |= mask
    return out


@given(
    arrays(bool, array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=5)),
    st.tuples(*[st.integers(-4, 6)] * 3),
    st.none() | st.tuples(*[st.integers(0, 7)] * 3),
)
def test_a_crop_is_the_least_box_within_the_volume(mask, offset, shape):
    volume = np.zeros((20, 20, 20), bool)
    at = tuple(slice(o + 6, o + 6 + n) for o, n in zip(offset, mask.shape, strict=True))
    volume[at] = mask
    if shape is not None:
        inside = np.zeros_like(volume)
        inside[tuple(slice(6, 6 + n) for n in shape)] = True
        volume &= inside
    cropped = crop(mask, offset, shape)
    boxes = ndimage.find_objects(volume.astype(int))
    if not boxes:
        assert cropped is NO_MASK
        return
    assert cropped.offset == tuple(side.start - 6 for side in boxes[0])
    assert np.array_equal(cropped.mask, volume[boxes[0]])
    assert [side.stop + 6 for side in cropped.box] == [side.stop for side in boxes[0]]


def test_a_crop_that_starts_before_the_volume_by_hand() -> None:
    mask, offset = crop(np.ones((4, 4, 4), bool), (-2, 0, 1), (9, 9, 3))
    assert offset == (0, 0, 1)
    assert mask.shape == (2, 4, 2)


def test_a_union_holds_the_voxels_of_all() -> None:
    rng = np.random.default_rng(3)
    for count in (1, 2, 4):
        masks = [random_mask(rng) for _ in range(count)]
        together = union(masks)
        assert np.array_equal(whole([together]), whole(masks))
        assert together.offset == tuple(np.min([m.offset for m in masks], axis=0))


boxes = st.tuples(*[st.tuples(st.integers(0, 6), st.integers(1, 4))] * 3)


@given(boxes, boxes, st.randoms(use_true_random=False))
def test_iou_of_cropped_masks_is_that_of_whole_volumes(a_box, b_box, random):
    volumes, crops = [], []
    for box in (a_box, b_box):
        shape = tuple(size for _, size in box)
        mask = np.array([random.random() < 0.7 for _ in range(np.prod(shape))]).reshape(shape)
        mask.flat[0] = True
        offset = tuple(start for start, _ in box)
        volume = np.zeros((10, 10, 10), bool)
        volume[tuple(slice(o, o + s) for o, s in zip(offset, shape, strict=True))] = mask
        volumes.append(volume)
        crops.append(CroppedMask(mask, offset))
    expected = (volumes[0] & volumes[1]).sum() / (volumes[0] | volumes[1]).sum()
    assert mask_iou(*crops) == pytest.approx(expected)


def test_suppression_is_greedy_in_the_order_given() -> None:
    # Neighbours shifted by one voxel overlap by 48 / 80 = 0.6, those by two by 1/3, three 1/7.
    masks = {5: cube((0, 0, 0)), 3: cube((0, 0, 1)), 9: cube((0, 0, 3)), 1: NO_MASK}
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
