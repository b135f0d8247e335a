"""The prediction of a fold, and the masks of a scan in its own grid."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from small_training import write_cohort

from nodulenet.files import CorruptArtefact, InputError
from nodulenet.imaging import Volume
from nodulenet.inference.fold import FileGrid, PredictionJob, predict_fold, write_scan_masks
from nodulenet.inference.predictor import Member, Predictor, ScanPrediction
from nodulenet.inference.scan import predict_window
from nodulenet.inference.table import prediction_table
from nodulenet.masks import CroppedMask, read_masks
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance, save_weights
from nodulenet.settings import InferenceSettings, Recipe

# The preprocessed grid starts at (2, 3, 4) of the scan, whose voxels are 1 mm.
SCAN = np.array([[0, 0, 1, -50], [0, 1, 0, -60], [1, 0, 0, -70], [0, 0, 0, 1]], float)
CROP = SCAN @ np.array([[1, 0, 0, 2], [0, 1, 0, 3], [0, 0, 1, 4], [0, 0, 0, 1]], float)
STORED = FileGrid(SCAN, (20, 24, 28))


def write(stem: Path, masks: dict[int, CroppedMask]) -> np.ndarray:
    write_scan_masks(masks, Volume(np.zeros((1, 1, 1), np.uint8), CROP), STORED, stem)
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
    manifest, folds = prepared(tmp_path)
    settings = Recipe.model_validate({**TRAINED, "preprocess": {"grid": "corners"}})
    weights = tmp_path / "a.pt"
    save_weights(NoduleNet(width=0.1), Provenance(settings, ("ncs",), "ncs", 0, 1), weights)
    job = PredictionJob(
        manifest, folds, 0, [weights], tmp_path / "out", ("ncs",), InferenceSettings(), "cpu"
    )
    fault = (
        r"a\.pt: was trained on .*preprocess\.grid: corners, but scan 1\.0 was prepared with world"
    )
    with pytest.raises(InputError, match=fault):
        predict_fold(job, 1)
    assert not list((tmp_path / "out").glob("*.csv"))


def test_a_scan_that_does_not_say_how_it_was_prepared_is_not_predicted(tmp_path: Path) -> None:
    manifest, folds = write_cohort(tmp_path)
    untrained(tmp_path / "a.pt")
    record = tmp_path / "1.0.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"preprocess": {"grd": 1}}))
    job = PredictionJob(
        manifest, folds, 0, [tmp_path / "a.pt"], tmp_path / "out", ("ncs",), InferenceSettings()
    )
    with pytest.raises(CorruptArtefact, match=r"1\.0\.json"):
        predict_fold(job, 1)


TRAINED = {
    "model": {"width": 0.1},
    "dfps": {"regression": False},
    "sr": {"snap": "truncate"},
    "targets": {"margin_total": 5},
}
INFERENCE = {"ncs_threshold": 0.6, "nms_iou": 0.2, "mask_iou": 0.4, "pad_value": 7}
ALL = ("ncs", "dfps", "sr")


def trained(branches: tuple[str, ...]) -> Provenance:
    return Provenance(Recipe.model_validate(TRAINED), branches, "full", 0, 1)


def prepared(folder: Path) -> tuple[Path, Path]:
    """A cohort whose records name the grid of the scan's file."""
    cohort = write_cohort(folder)
    for record in folder.glob("*.json"):
        source = {"stored_affine": np.eye(4).tolist(), "stored_shape": [36, 40, 44]}
        record.write_text(json.dumps(json.loads(record.read_text()) | source))
    return cohort


def untrained(path: Path) -> NoduleNet:
    """Weights of a network with candidates and masks, which were not trained."""
    torch.manual_seed(4)
    net = NoduleNet(width=0.1).eval()
    torch.nn.init.normal_(net.ncs.logits.weight, std=3)
    torch.nn.init.normal_(net.sr.logits.weight, std=3)
    save_weights(net, trained(ALL), path)
    return net


def predicted_alone(
    net: NoduleNet, volume: np.ndarray, branches: tuple[str, ...]
) -> ScanPrediction:
    members = [Member(net, trained(branches))]
    return predict_window(Predictor(members, InferenceSettings(**INFERENCE), amp=False), volume)


@pytest.mark.parametrize("branches", [("ncs", "dfps"), ("ncs", "dfps", "sr")])
@pytest.mark.parametrize("tile", [None, 144])
def test_a_fold_is_its_scans_one_after_the_other(
    tmp_path: Path, branches: tuple[str, ...], tile: int | None
) -> None:
    manifest, folds = prepared(tmp_path)
    net = untrained(tmp_path / "a.pt")
    settings, output = InferenceSettings(**INFERENCE, tile=tile), tmp_path / "out"
    weights = [tmp_path / "a.pt"]
    job = PredictionJob(manifest, folds, 0, weights, output, branches, settings, "cpu", amp=False)
    predict_fold(job, 1)

    table = pd.read_csv(output / "predictions.csv", dtype={"seriesuid": str})
    first, candidates = 1, {}
    for scan in ("1.0", "1.2"):  # those of fold 0
        volume = np.load(tmp_path / f"{scan}.npy")
        alone = predicted_alone(net, volume, branches)
        expected, order = prediction_table(scan, alone, Volume(volume, np.eye(4)), 5, 0)
        rows = table[first - 1 : first - 1 + len(order)].reset_index(drop=True)
        expected = expected.reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, expected, check_dtype=False, atol=1e-3, rtol=1e-5)
        masks = {first + order.tolist().index(c): mask for c, mask in alone.masks.items()}
        assert (output / f"masks/{scan}.npz").exists() == ("sr" in branches)
        if masks:
            compare_masks(output / "masks" / scan, masks)
        candidates[scan] = len(order)
        first += len(order)
    assert len(table) == sum(candidates.values())
    assert min(candidates.values()) > 3
    assert json.loads((output / "predictions.json").read_text()) == {
        "fold": 0,
        "stage": "full",
        "scans": ["1.0", "1.2"],
        "candidates": candidates,
    }


def compare_masks(stem: Path, expected: dict[int, CroppedMask]) -> None:
    """Both files of a scan's masks hold the expected ones, under their numbers.

    In the scan's grid, which is the same here, the first one has all its voxels.
    """
    found = read_masks(stem.with_name(f"{stem.name}.npz"))
    assert list(found) == list(expected)
    for number, mask in expected.items():
        assert found[number].offset == mask.offset
        np.testing.assert_array_equal(found[number].mask, mask.mask)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(f"{stem}.nii.gz"))
    assert set(np.unique(labels)) - {0} <= expected.keys()
    number, mask = next(iter(expected.items()))
    box = tuple(slice(a, a + n) for a, n in zip(mask.offset, mask.mask.shape, strict=True))
    np.testing.assert_array_equal(labels[box] == number, mask.mask)
