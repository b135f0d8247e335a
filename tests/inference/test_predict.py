"""The masks of a scan in its own grid."""

import logging
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import small_cohort

from nodulenet.files import InputError
from nodulenet.imaging import Volume
from nodulenet.inference.masks import CroppedMask, read_masks
from nodulenet.inference.predict import predict_fold, write_scan_masks
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance, save_weights

# The preprocessed grid starts at (2, 3, 4) of the scan, whose voxels are 1 mm.
SCAN = np.array([[0, 0, 1, -50], [0, 1, 0, -60], [1, 0, 0, -70], [0, 0, 0, 1]], float)
CROP = SCAN @ np.array([[1, 0, 0, 2], [0, 1, 0, 3], [0, 0, 1, 4], [0, 0, 0, 1]], float)
RECORD = {"stored_affine": SCAN.tolist(), "stored_shape": [20, 24, 28]}


def write(stem: Path, masks: dict[int, CroppedMask]) -> np.ndarray:
    write_scan_masks(masks, Volume(np.zeros((1, 1, 1), np.uint8), CROP), RECORD, stem)
    return sitk.GetArrayFromImage(sitk.ReadImage(f"{stem}.nii.gz"))


def cube(offset: tuple[int, int, int], side: int) -> CroppedMask:
    return CroppedMask(np.ones((side,) * 3, bool), offset)


def test_a_label_is_the_number_of_the_row_where_the_scan_has_it(tmp_path: Path) -> None:
    labels = write(tmp_path / "1.2", {7: cube((5, 5, 5), 4), 70000: cube((0, 0, 0), 2)})
    expected = np.zeros((20, 24, 28), int)
    expected[7:11, 8:12, 9:13] = 7
    expected[2:4, 3:5, 4:6] = 70000
    np.testing.assert_array_equal(labels, expected)
    assert list(read_masks(tmp_path / "1.2.npz")) == [7, 70000]


def test_the_first_mask_has_the_shared_voxels_and_a_hidden_one_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    labels = write(tmp_path / "1.2", {1: cube((5, 5, 5), 4), 2: cube((6, 6, 6), 2)})
    assert set(np.unique(labels)) == {0, 1}
    assert "1.2: mask 2 has no voxel of its own" in caplog.text


def test_weights_of_other_images_predict_nothing(tmp_path: Path) -> None:
    cohort = small_cohort.build(tmp_path)
    provenance = Provenance({"width": 0.1}, ("ncs",), {"grid": "corners"}, "ncs", 0, 1, {})
    save_weights(NoduleNet(width=0.1), provenance, tmp_path / "a.pt")
    settings = {"train": {"device": "cpu"}}
    fault = r"a\.pt: was trained on .*preprocess\.grid: corners, but scan s0 was prepared with None"
    with pytest.raises(InputError, match=fault):
        predict_fold(
            cohort.manifest,
            cohort.folds,
            0,
            tmp_path / "a.pt",
            ("ncs",),
            settings,
            tmp_path / "out",
            1,
        )
    assert not list((tmp_path / "out").glob("*.csv"))
