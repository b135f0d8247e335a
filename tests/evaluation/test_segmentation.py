"""Dice and IoU by hand on small label volumes."""

import numpy as np
import pytest

from nodulenet.evaluation.segmentation import score_masks, summarize_masks
from nodulenet.files import InputError
from nodulenet.inference.masks import CroppedMask


def block(shape, offset):
    return CroppedMask(np.ones(shape, bool), offset)


def labels():
    array = np.zeros((10, 20, 20), np.uint8)
    array[2:4, 2:4, 2:4] = 1
    array[5:9, 5:9, 5:9] = 2
    return array


def test_each_nodule_takes_the_mask_of_best_dice():
    masks = {
        3: block((1, 2, 2), (2, 2, 2)),
        7: block((2, 2, 3), (2, 2, 2)),
        8: block((1,) * 3, (0, 0, 0)),
    }
    table = score_masks(labels(), 2, masks)
    # Row 3: 4 of 8 voxels, Dice 2 * 4 / 12. Row 7: 8 of 8 with 4 too many, Dice 2 * 8 / 20.
    assert table["dice"].tolist() == [0.8, 0]
    assert table["iou"].tolist() == [8 / 12, 0]
    assert table["found"].tolist() == [1, 0]
    assert table["row"].isna().tolist() == [False, True]
    assert table["row"][0] == 7


def test_one_mask_may_serve_two_nodules_and_the_first_of_equals_is_taken():
    array = np.zeros((4, 4, 4), np.uint8)
    array[0], array[1] = 1, 2
    table = score_masks(array, 2, {5: block((2, 4, 4), (0, 0, 0)), 6: block((2, 4, 4), (0, 0, 0))})
    np.testing.assert_allclose(table["dice"], [2 / 3, 2 / 3])
    assert table["row"].tolist() == [5, 5]


def test_a_nodule_without_a_voxel_is_missed_and_counts():
    table = score_masks(labels(), 3, {1: block((4, 4, 4), (5, 5, 5))})
    assert table["dice"].tolist() == [0, 1, 0]
    summary = summarize_masks(table)
    assert summary == {
        "nodules": 3,
        "found": 1,
        "dice_all": pytest.approx(1 / 3),
        "iou_all": pytest.approx(1 / 3),
        "dice_found": 1,
        "iou_found": 1,
    }


def test_without_a_found_nodule_its_mean_is_none():
    summary = summarize_masks(score_masks(labels(), 2, {}))
    assert summary["dice_found"] is None
    assert summary["dice_all"] == 0


def test_faults_name_their_file():
    with pytest.raises(InputError, match="labels: label 2 in a scan of 1"):
        score_masks(labels(), 1, {})
    for offset in ((9, 0, 0), (-1, 0, 0)):
        with pytest.raises(InputError, match="masks: the mask of row 4 leaves"):
            score_masks(labels(), 2, {4: block((2, 2, 2), offset)})
