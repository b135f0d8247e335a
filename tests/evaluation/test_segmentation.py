"""Scores of masks by hand on small label volumes."""

import numpy as np
import pandas as pd
import pytest
from small_cohort import ball, build

from nodulenet.annotations import Group
from nodulenet.evaluation.masks import SCORES, compare_masks, mean_by_nodule, summarize_masks
from nodulenet.evaluation.readers import ScanMasks, nodule_masks, pair_readers, read_scan_masks
from nodulenet.evaluation.segmentation import check_masks, score_masks, summarize_readers
from nodulenet.evaluation.truth import read_cohort
from nodulenet.files import InputError
from nodulenet.imaging import write_nodules
from nodulenet.masks import CroppedMask


def block(shape, offset):
    return CroppedMask(np.ones(shape, bool), offset)


def labels():
    array = np.zeros((10, 20, 20), np.uint8)
    array[2:4, 2:4, 2:4] = 1
    array[5:9, 5:9, 5:9] = 2
    return array


def truth(array, count, readers=None):
    return ScanMasks(nodule_masks(array, count), readers or [{}] * count, array.shape, np.ones(3))


def scored(array, count, masks):
    return pd.DataFrame(score_masks(truth(array, count), masks)[0])


def test_each_nodule_takes_the_mask_of_best_dice():
    masks = {
        3: block((1, 2, 2), (2, 2, 2)),
        7: block((2, 2, 3), (2, 2, 2)),
        8: block((1,) * 3, (0, 0, 0)),
    }
    table = scored(labels(), 2, masks)
    # Row 3: 4 of 8 voxels, Dice 2 * 4 / 12. Row 7: 8 of 8 with 4 too many, Dice 2 * 8 / 20.
    assert table["dice"].tolist() == pytest.approx([0.8, 0])
    assert table["iou"].tolist() == [8 / 12, 0]
    assert table["found"].tolist() == [1, 0]
    assert table["row"].isna().tolist() == [False, True]
    assert table["row"][0] == 7
    # All voxels are surface voxels: 4 of 12 lie 1 mm from the nodule, 0 of its 8 from the mask.
    assert table["surface_mean_mm"][0] == pytest.approx(4 / 20)
    assert table["surface_p95_mm"][0] == 1
    assert table["volume_error_mm3"].tolist() == [4, -64]
    assert table["volume_error_relative"].tolist() == [0.5, -1]


def test_one_mask_may_serve_two_nodules_and_the_first_of_equals_is_taken():
    array = np.zeros((4, 4, 4), np.uint8)
    array[0], array[1] = 1, 2
    table = scored(array, 2, {5: block((2, 4, 4), (0, 0, 0)), 6: block((2, 4, 4), (0, 0, 0))})
    np.testing.assert_allclose(table["dice"], [2 / 3, 2 / 3])
    assert table["row"].tolist() == [5, 5]


def test_a_missed_nodule_has_no_distance_and_counts_in_the_means_of_all():
    table = scored(labels(), 3, {1: block((4, 4, 4), (5, 5, 5))})
    assert table["dice"].tolist() == [0, 1, 0]
    assert table["surface_mean_mm"].isna().tolist() == [True, False, True]
    # The third has no voxel: no share of its volume can be lost.
    assert table["volume_error_relative"].isna().tolist() == [False, False, True]
    assert summarize_masks(table) == {
        "nodules": 3,
        "found": 1,
        "dice_all": pytest.approx(1 / 3),
        "iou_all": pytest.approx(1 / 3),
        "volume_error_mm3_all": pytest.approx(-8 / 3),
        "volume_error_relative_all": -0.5,
        "absolute_volume_error_relative_all": 0.5,
        "dice_found": 1,
        "iou_found": 1,
        "surface_mean_mm_found": 0,
        "surface_p95_mm_found": 0,
        "volume_error_mm3_found": 0,
        "volume_error_relative_found": 0,
        "absolute_volume_error_relative_found": 0,
    }


def test_without_a_found_nodule_its_mean_is_none():
    summary = summarize_masks(scored(labels(), 2, {}))
    assert summary["dice_found"] is None
    assert summary["surface_mean_mm_found"] is None
    assert summary["dice_all"] == 0
    assert summary["volume_error_relative_all"] == -1


def test_single_readers_are_scored_with_the_mask_that_the_consensus_chose():
    outlines = {1: block((4, 4, 4), (5, 5, 5)), 3: block((2, 4, 4), (5, 5, 5))}
    masks = {4: block((2, 4, 4), (5, 5, 5)), 5: block((4, 4, 4), (5, 5, 5))}
    one_of_two = truth(labels(), 2, [{2: block((2, 2, 2), (2, 2, 2))}, outlines])
    _, rows = score_masks(one_of_two, masks)
    assert [(row["label"], row["reader"], row["found"]) for row in rows] == [
        (1, 2, 0),
        (2, 1, 1),
        (2, 3, 1),
    ]
    assert [row["dice"] for row in rows] == pytest.approx([0, 1, 2 * 32 / 96])
    assert [row["volume_error_mm3"] for row in rows] == [-8, 0, 32]
    table = pd.DataFrame(rows).assign(series_uid="s")
    summary = summarize_readers(table)
    # Each nodule counts once: (0 + (1 + 2 / 3) / 2) / 2.
    assert summary["dice_all"] == pytest.approx(5 / 12)
    assert summary["dice_found"] == pytest.approx(5 / 6)
    assert (summary["masks"], summary["nodules"], summary["found"]) == (3, 2, 1)
    assert summary["volume_error_relative_found"] == pytest.approx(0.5)


def test_opposite_volume_errors_do_not_cancel_in_the_absolute_one():
    table = pd.DataFrame(dict.fromkeys(SCORES, 1.0), index=range(2))
    table = table.assign(series_uid="s", label=1, found=1, volume_error_relative=[0.5, -0.5])
    summary = summarize_readers(table)
    assert summary["volume_error_relative_found"] == 0
    assert summary["absolute_volume_error_relative_found"] == 0.5


def test_readers_among_themselves_and_against_their_consensus():
    outlines = {
        1: block((4, 4, 4), (5, 5, 5)),
        2: block((2, 4, 4), (5, 5, 5)),
        4: block((2, 4, 4), (7, 5, 5)),
    }
    rows = pair_readers(truth(labels(), 2, [{}, outlines]))
    assert [(row["reader"], row["against"]) for row in rows] == [
        (1, "2"),
        (1, "4"),
        (2, "4"),
        (1, "consensus"),
        (2, "consensus"),
        (4, "consensus"),
    ]
    assert {row["label"] for row in rows} == {2}
    assert [row["dice"] for row in rows] == pytest.approx([2 / 3, 2 / 3, 0, 1, 2 / 3, 2 / 3])
    # The halves lie one above the other: 16 voxels each at 1 mm, 16 at 2 mm, both ways.
    assert rows[2]["surface_mean_mm"] == 1.5
    means = mean_by_nodule(pd.DataFrame(rows[:3]).assign(series_uid="s"))
    assert means["dice"].tolist() == pytest.approx([4 / 9])


def test_faults_name_their_file():
    with pytest.raises(InputError, match="labels: label 2 in a scan of 1"):
        nodule_masks(labels(), 1)
    for offset in ((0, 0, 0), (3, 4, 5), (8, 18, 18)):
        check_masks({4: block((2, 2, 2), offset)}, (10, 20, 20))
    for offset in ((9, 0, 0), (-1, 0, 0)):
        with pytest.raises(InputError, match="masks: the mask of row 4 leaves"):
            check_masks({4: block((2, 2, 2), offset)}, (10, 20, 20))


@pytest.mark.parametrize("shape", [(0, 0, 0), (2, 2, 2)])
def test_two_masks_without_a_voxel_score_0(shape):
    empty = CroppedMask(np.zeros(shape, bool), (0, 0, 0))
    scores = compare_masks(empty, CroppedMask(np.zeros((2, 3, 2), bool), (1, 0, 0)), np.ones(3))
    assert (scores["dice"], scores["iou"], scores["volume_error_mm3"]) == (0, 0, 0)
    undefined = ("surface_mean_mm", "surface_p95_mm", "volume_error_relative")
    assert all(np.isnan(scores[name]) for name in undefined)


def test_an_outline_outside_of_the_volume_is_kept_empty_and_named(tmp_path, caplog):
    files = build(tmp_path)
    scan = next(s for s in read_cohort(files.manifest, files.folds) if s.series_uid == "s1")
    table = pd.read_csv(scan.findings)
    inside, outside = np.ones((3, 3, 3), bool), np.ones((2, 2, 2), bool)
    marks = (CroppedMask(inside, (29, 39, 44)), CroppedMask(outside, (500, 0, 0)))
    group = Group(((0, 0), (1, 0)), inside, (29, 39, 44), marks)
    write_nodules(scan.outlines, scan.findings, [group], table)
    masks = read_scan_masks(scan, table)
    [nodule], [readers] = masks.nodules, masks.readers
    assert nodule.mask.sum() == ball((30, 40, 45), 9).sum()
    assert {reader: m.mask.sum() for reader, m in readers.items()} == {1: 27, 2: 0}
    [said] = [record.getMessage() for record in caplog.records]
    assert said == "scan s1: nodule 1, reader 2: the outline has no voxel in the volume"
