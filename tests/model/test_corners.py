"""RoIs and SR crops against hand-worked cases."""

import pytest
import torch
from torch import Tensor

from nodulenet.model.corners import roi_corners, sr_corners


def box(*values: float) -> Tensor:
    return torch.tensor([values])


def test_roi_corners_are_a_quarter_floored_and_ceiled() -> None:
    low, high = roi_corners(box(10, 11, 12, 4, 10, 7.9), (8, 8, 8))
    assert low.tolist() == [[2, 1, 2]]  # 8/4, 6/4, 8.05/4
    assert high.tolist() == [[3, 4, 4]]  # 12/4, 16/4, 15.95/4


@pytest.mark.parametrize("centre", [-30.0, 90.0])
def test_rois_beyond_the_map_keep_one_voxel(centre: float) -> None:
    low, high = roi_corners(box(centre, 4, 4, 4, 4, 4), (8, 8, 8))
    assert (high - low >= 1).all()
    assert (low >= 0).all()
    assert (high <= 8).all()


def test_sr_crops_are_snapped_outwards_to_multiples_of_four() -> None:
    low, high = sr_corners(box(16, 16, 16, 8, 9, 15), (64, 64, 64), "outward")
    assert low.tolist() == [[12, 8, 8]]  # 12, 11.5, 8.5
    assert high.tolist() == [[20, 24, 24]]  # 20, 20.5, 23.5


def test_truncated_corners_lose_their_fraction_first() -> None:
    low, high = sr_corners(box(16, 16, 16, 8, 9, 15), (64, 64, 64), "truncate")
    assert low.tolist() == [[12, 8, 8]]
    assert high.tolist() == [[20, 20, 24]]  # 20.5 becomes 20


@pytest.mark.parametrize("centre", [-40.0, 100.0])
def test_an_sr_crop_that_clipping_empties_is_four_voxels_wide(centre: float) -> None:
    low, high = sr_corners(box(centre, 8, 8, 8, 8, 8), (64, 64, 64), "outward")
    assert (high - low).tolist() == [[4, 8, 8]]
    assert (low >= 0).all()
    assert (high <= 64).all()
