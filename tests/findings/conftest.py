"""A detector that sees the chest's nodules by their brightness, and a scan predicted with it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from chest import SERIES, sample, turned_affine, write_dicom
from scipy import ndimage

from nodulenet.findings.detector import Detector
from nodulenet.findings.predict import predict_scan
from nodulenet.findings.scans import find_scans, slice_sources
from nodulenet.findings.threshold import Threshold
from nodulenet.inference.predictor import ScanPrediction
from nodulenet.masks import CroppedMask
from nodulenet.settings import PreprocessSettings

BRIGHT = 205  # HU 247: nothing else in the lungs or around them is as bright
SPECK = 50  # voxels; the spline overshoots at corners
MARGIN = 8


def see_balls(volume, step):
    """What is bright in a preprocessed volume, the largest as the most probable."""
    step()
    labels, _ = ndimage.label(volume > BRIGHT)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    count = int((sizes > SPECK).sum())
    boxes, masks = [], {}
    for row, label in enumerate(np.argsort(-sizes)[:count]):
        at = ndimage.find_objects(labels)[label - 1]
        low, high = (np.array([getattr(side, end) for side in at]) for end in ("start", "stop"))
        boxes.append([*((low + high - 1) / 2), *(high - low + MARGIN)])
        masks[row] = CroppedMask((labels == label)[at], tuple(low.tolist()))
    boxes = np.array(boxes, np.float32).reshape(-1, 6)
    probability = np.linspace(0.9, 0.6, count, dtype=np.float32)
    kept = np.ones(count, bool)
    return ScanPrediction(boxes, probability, boxes, probability, kept, masks)


@pytest.fixture(scope="session")
def detector():
    weights = {
        "name": "w.pt",
        "path": "w.pt",
        "sha256": "ab" * 32,
        "stage": "full",
        "fold": 0,
        "epochs": 1,
    }
    weights["branches"] = ["ncs", "dfps", "sr"]
    return Detector(see_balls, PreprocessSettings(), MARGIN, [weights], {"mirrors": 1}, 1)


@pytest.fixture(scope="session")
def predicted(tmp_path_factory, detector):
    """An axial DICOM scan predicted: its folder, slices and scan, and the output folder."""
    folder = tmp_path_factory.mktemp("axial")
    rotation = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)
    volume = sample(turned_affine(rotation))
    slices = write_dicom(folder / "ct", volume)
    (scan,), passed = find_scans(folder / "ct")
    output = Path(folder / "out")
    content = predict_scan(scan, detector, Threshold(0.5, "given"), output)
    assert passed == []
    assert scan.series_uid == SERIES
    return SimpleNamespace(
        folder=folder / "ct",
        slices=slices,
        sources=slice_sources(scan),
        volume=volume,
        output=output,
        content=content,
    )
