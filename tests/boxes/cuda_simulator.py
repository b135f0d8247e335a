"""Holds the CUDA kernels to the CPU in Numba's simulator; run as a script by `test_cuda.py`.

The simulator is chosen before Numba is imported, so it has a process of its own. Tensors lie in
main memory there: the kernels see them as NumPy arrays that share it.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "model")]

import numpy as np
import pytest
import torch
from torch import Tensor

from nodulenet.boxes import batched_nms, cuda, dispatch, iou_matrix, match, nms
from nodulenet.boxes.cuda import Launch, nms_cuda
from nodulenet.boxes.roi import roi_gradient, roi_maxima
from nodulenet.inference.predictor import Member, Predictor
from nodulenet.inference.scan import predict_window
from nodulenet.model import NoduleNet
from nodulenet.model import objective as objective_module
from nodulenet.model.objective import Objective, loss_terms
from nodulenet.model.weights import Provenance
from nodulenet.settings import InferenceSettings, Recipe

SIZES = (0, 1, 63, 64, 65, 257)


@contextmanager
def simulated() -> Iterator[None]:
    """Within the context every tensor counts as one on a CUDA device."""

    @contextmanager
    def launch_at(_: torch.device) -> Iterator[Launch]:
        yield Launch(0, lambda tensor, kind: tensor.detach().numpy().view(kind))

    with (
        patch.object(cuda, "launch_at", launch_at),
        patch.object(dispatch, "runs_on_cuda", bool_true),
    ):
        yield


def bool_true(_: Tensor) -> bool:
    return True


def crowd(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes on a coarse lattice, so that overlaps hit thresholds exactly, and scores with ties."""
    rng = np.random.default_rng(seed)
    centre = rng.integers(0, 24, (count, 3))
    boxes = np.concatenate([centre, rng.integers(0, 9, (count, 3))], axis=1) * 0.37
    scores = rng.integers(-8, 8, count) / 8
    return torch.from_numpy(boxes.astype(np.float32)), torch.from_numpy(scores)


def check_nms(count: int, threshold: float, chunk: int) -> None:
    boxes, scores = crowd(count, count)
    with simulated():
        kept = nms_cuda(boxes, scores, np.float32(threshold), chunk)
    assert kept.dtype == torch.int64
    assert kept.tolist() == nms(boxes, scores, threshold).tolist(), (count, threshold, chunk)


def check_iou(rows: int, columns: int) -> None:
    a, b = crowd(rows, 1)[0], crowd(columns, 2)[0]
    with simulated():
        result = iou_matrix(a, b)
    assert result.dtype == torch.float32
    np.testing.assert_array_equal(result.numpy(), iou_matrix(a.numpy(), b.numpy()))


def check_batch(count: int, most: int) -> None:
    """Batched NMS, and matching with truth boxes of each crop, of shared and of own boxes."""
    pairs = [crowd(count, seed) for seed in range(3)]
    boxes, scores = (torch.stack(tensors) for tensors in zip(*pairs, strict=True))
    scores = scores.float()
    truth = torch.stack([crowd(3, seed)[0] for seed in (7, 8, 9)])
    calls = [
        lambda: batched_nms(boxes, scores, 0.1, 0.25, most),
        lambda: match(boxes, truth, 0.5, 0.1, best=True),
        lambda: match(boxes[:1], truth, 0.5, 0.1, best=True),
        lambda: match(boxes, truth, 0.5, 0.1),
    ]
    for call in calls:
        with simulated():
            found = call()
        assert torch.equal(found, call()), (count, most)


def check_maxima(count: int) -> None:
    generator = torch.manual_seed(count)
    maps = torch.randn(2, 9, 8, 7, 3, generator=generator).round(decimals=1)
    low = torch.randint(0, 6, (count, 3), generator=generator)
    high = low + torch.randint(1, 2, (count, 3), generator=generator)
    items = torch.arange(count) % 2
    maxima, voxels = roi_maxima(maps, items, low, high)
    gradient = torch.randn(maxima.shape, generator=generator).round()  # sums in any order
    with simulated():
        found = roi_maxima(maps, items, low, high)
        sums = roi_gradient(gradient, voxels, 2 * 9 * 8 * 7)
    assert torch.equal(found[0], maxima)
    assert torch.equal(found[1], voxels)
    assert torch.equal(sums, roi_gradient(gradient, voxels, 2 * 9 * 8 * 7))


def check_fault(boxes: Tensor, scores: Tensor, fault: str) -> None:
    wanted = pytest.raises(ValueError, match=re.escape(fault))
    with wanted, np.errstate(invalid="ignore"), simulated():
        nms(boxes, scores, 0.1)


def check_faults() -> None:
    boxes, scores = crowd(3, 0)
    wrong = boxes.clone()
    wrong[1, 4] = -1
    check_fault(wrong, scores, "boxes: a side is negative")
    wrong[2, 0] = torch.inf
    check_fault(wrong, scores, "boxes: a value is not finite")
    check_fault(boxes, torch.tensor([0.5, torch.nan, 1]), "scores: a value is NaN")
    check_fault(boxes[:, :5], scores, "boxes: expected shape (N, 6), got (3, 5)")
    check_fault(boxes, scores[:2], "scores: expected shape (3,), got (2,)")


def small_net() -> NoduleNet:
    """A network whose every branch has something to do in a small crop."""
    torch.manual_seed(4)
    net = NoduleNet(width=0.1).eval()
    with torch.no_grad():
        net.ncs.deltas.weight *= 0.05
        net.ncs.logits.weight *= 20
        net.sr.logits.bias += 1
    return net


def check_training_step() -> None:
    """The same proposals, samples, losses and gradients with the kernels and without."""
    from test_objective import draw_batch, part_of

    images, labels = draw_batch()
    crops = part_of((images[:2], labels[:2]), 8).crops
    crops = objective_module.Crops(
        crops.images, crops.nodules, crops.masks, crops.truth, crops.sized, crops.seeds[:2]
    )
    own = {
        "ncs": {"proposals": 12, "negatives": 30},
        "dfps": {"positives": 3, "samples": 6},
        "sr": {"threshold": 0.3},
    }
    objective = Objective(("ncs", "dfps", "sr"), Recipe.model_validate(own))
    net, outcomes = small_net(), []
    for way in (simulated, nothing):
        seen = []

        def watched(*args, real=objective_module.sample_boxes, seen=seen):
            seen.append((args[0], real(*args)))
            return seen[-1][1]

        net.zero_grad()
        with way(), patch.object(objective_module, "sample_boxes", watched):
            terms = loss_terms(net, crops, objective)
            sum(terms.values()).backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        ((proposals, sample),) = seen
        outcomes.append([proposals, *sample, *terms.values(), *gradients])
    assert min(term.item() for term in terms.values()) > 0, terms
    for ours, theirs in zip(*outcomes, strict=True):
        assert torch.equal(ours, theirs)


@contextmanager
def nothing() -> Iterator[None]:
    yield


def check_prediction() -> None:
    """The same candidates, opinions and masks with the kernels and without."""
    provenance = Provenance(Recipe(), ("ncs", "dfps", "sr"), "full", 0, 1)
    predictor = Predictor(
        [Member(small_net(), provenance)], InferenceSettings(ncs_threshold=0.5), amp=False
    )
    volume = np.random.default_rng(3).integers(0, 255, (16, 32, 32)).astype(np.uint8)
    expected = predict_window(predictor, volume)
    with simulated():
        found = predict_window(predictor, volume)
    assert len(expected.masks) > 1
    for name in ("ncs_boxes", "ncs_probability", "dfps_boxes", "dfps_probability", "kept"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.masks.keys() == expected.masks.keys()


if __name__ == "__main__":
    for size in SIZES:
        check_nms(size, 0.1, 4096)
    check_nms(130, 0.1, 64)
    for threshold in (0.0, 1 / 3):
        check_nms(30, threshold, 64)
    for rows, columns in ((0, 65), (63, 0), (1, 64), (65, 65), (257, 1)):
        check_iou(rows, columns)
    for size, most in ((1, 1), (63, 9), (64, 70), (65, 5), (257, 40)):
        check_batch(size, most)
    for size in (0, 1, 2):
        check_maxima(size)
    check_faults()
    check_training_step()
    check_prediction()
    print("as the CPU")
