"""Findings from candidates: which, where, and their measures, by hand."""

import numpy as np
import pytest

from nodulenet.findings.measure import find_findings, long_axis
from nodulenet.imaging import Volume
from nodulenet.inference.predictor import ScanPrediction
from nodulenet.masks import CroppedMask

# The scan: voxels of 2 x 1 x 1 mm, y running to the front. The 1 mm grid starts at its voxel
# (5, 10, 10) and has the same axes.
SCAN_AFFINE = np.array([[0, 0, 1, -50], [0, -1, 0, 40], [2, 0, 0, 7], [0, 0, 0, 1.0]])
GRID_AFFINE = np.array([[0, 0, 1, -40], [0, -1, 0, 30], [1, 0, 0, 17], [0, 0, 0, 1.0]])
HU = np.random.default_rng(0).integers(-900, 200, (30, 60, 60)).astype(np.int16)
SCAN = Volume(HU, SCAN_AFFINE)
GRID = Volume(np.zeros((40, 40, 40), np.uint8), GRID_AFFINE)


def cube(offset, shape):
    return CroppedMask(np.ones(shape, bool), offset)


def predict(boxes, first, second, kept, masks):
    boxes = np.array(boxes, np.float32)
    first = np.array(first, np.float32)
    if second is None:
        return ScanPrediction(boxes, first, None, None, np.array(kept), masks)
    second = np.array(second, np.float32)
    return ScanPrediction(boxes + 90, first, boxes, second, np.array(kept), masks)


BOXES = [
    (10.5, 10.5, 10.5, 16, 12, 12),
    (10.5, 30, 30, 10, 10, 14),
    (10.5, 30, 10, 12, 12, 12),
    (30, 30, 30, 12, 12, 12),
    (10.5, 11.5, 10.5, 16, 12, 12),
]
FIRST, SECOND = [0.8, 0.9, 0.9, 0.6, 0.7], [0.8, 0.9, 0.1, 0.4, 0.5]
MASKS = {0: cube((8, 9, 9), (6, 4, 4)), 1: cube((8, 28, 28), (6, 4, 6))}


def test_findings_by_hand():
    """Of five candidates: the second is the best; the third is too improbable; the fourth fell
    in the second suppression; the fifth lost its mask to the first's.
    """
    prediction = predict(BOXES, FIRST, SECOND, [True, True, True, False, True], MASKS)
    found, notes = find_findings(prediction, GRID, SCAN, 8, 0.55)
    assert [finding.number for finding in found] == [1, 2]
    assert [finding.probability for finding in found] == pytest.approx([0.9, 0.8])
    assert found[0].position.tolist() == [-10, 0, 27.5]
    assert found[1].position.tolist() == [-29.5, 19.5, 27.5]
    assert [finding.diameter_mm for finding in found] == [6, 8]
    assert len(notes) == 2
    assert notes[0].startswith("1 further candidates have a mask that overlaps")
    assert notes[1] == "candidates below the threshold, not listed: 1"
    # Six 1 mm slices from 8 on, which is world 25 to 30 mm: the scan's slices 9 (25), 10, 11 (29).
    first = found[0].mask
    assert first.offset == (9, 38, 38)
    assert first.mask.shape == (3, 4, 6)
    assert first.mask.all()
    assert found[0].volume_mm3 == pytest.approx(3 * 4 * 6 * 2)
    assert found[0].equivalent_diameter_mm == pytest.approx((6 * 144 / np.pi) ** (1 / 3))
    assert found[0].long_axis_mm == pytest.approx(np.hypot(4, 6), rel=1e-6)
    assert found[0].mean_hu == pytest.approx(HU[9:12, 38:42, 38:44].mean())


def test_a_candidate_without_a_mask_of_its_own_or_near_is_a_finding():
    prediction = predict(BOXES, FIRST, SECOND, [True] * 5, MASKS)
    found, notes = find_findings(prediction, GRID, SCAN, 8, 0.45)
    assert [finding.mask is None for finding in found] == [False, False, True, True]
    assert found[2].volume_mm3 is found[2].mean_hu is found[2].long_axis_mm is None
    assert found[3].position.tolist() == [-10, 0, 47]
    assert notes[1:] == ["finding 3 has no mask", "finding 4 has no mask"]


def test_a_network_of_candidates_alone():
    prediction = predict(BOXES, FIRST, None, [True] * 5, {})
    found, notes = find_findings(prediction, GRID, SCAN, 8, 0.65)
    assert [finding.probability for finding in found] == pytest.approx([0.9, 0.9, 0.8, 0.7])
    assert {finding.dfps_probability for finding in found} == {None}
    assert notes == ["candidates below the threshold, not listed: 1"]


def test_shared_voxels_are_the_more_probable_one_s():
    masks = {0: cube((8, 9, 9), (6, 4, 4)), 1: cube((8, 9, 11), (6, 4, 4))}
    prediction = predict(BOXES[:2], [0.8, 0.9], [0.8, 0.9], [True, True], masks)
    found, _ = find_findings(prediction, GRID, SCAN, 8, 0.5)
    assert [finding.mask.mask.sum() for finding in found] == [48, 24]
    masks[0] = cube((9, 10, 12), (4, 2, 2))
    prediction = predict(BOXES[:2], [0.8, 0.9], [0.8, 0.9], [True, True], masks)
    found, notes = find_findings(prediction, GRID, SCAN, 8, 0.5)
    assert found[1].mask is None
    assert notes == ["finding 2 has no mask"]


def test_nothing_is_found():
    prediction = predict(np.zeros((0, 6)), [], [], np.zeros(0, bool), {})
    assert find_findings(prediction, GRID, SCAN, 8, 0.5) == ([], [])


def test_long_axis_is_axial_whatever_the_array_s_order():
    mask = np.zeros((9, 9, 9), bool)
    mask[1:8, 2:5, 3:7] = True  # z, y, x: 7, 3, 4 voxels of 1, 2, 3 mm
    affine = np.diag([3.0, 2, 1, 1])[[0, 1, 2, 3]][:, [2, 1, 0, 3]]
    assert long_axis(mask, affine) == pytest.approx(np.hypot(6, 12), rel=1e-6)
    sagittal = long_axis(mask.transpose(2, 0, 1), affine[:, [2, 0, 1, 3]])
    assert sagittal == pytest.approx(np.hypot(6, 12), rel=1e-6)
