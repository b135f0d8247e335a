"""What a step asks of the host: a GPU would wait for every read, and be launched by every call.

Neither may depend on the number of crops, proposals or segmented crops. Reads within
nodulenet/boxes/dispatch.py are those of the CPU's kernels, in whose place a GPU has its own.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nodulenet.inference.predictor import MIRRORS, UNMIRRORED, Member, Predictor
from nodulenet.inference.scan import predict_window
from nodulenet.model import NoduleNet, heads, objective
from nodulenet.model.objective import Crops, Objective
from nodulenet.model.roi_pool import CropGroup
from nodulenet.model.targets import TruthBoxes, padded_truth
from nodulenet.model.weights import Provenance
from nodulenet.settings import Branch, InferenceSettings, Recipe
from nodulenet.training.engine import READ_EVERY, Learner, train_one_epoch, train_step
from nodulenet.training.feed import Part

pytestmark = pytest.mark.slow

BRANCHES: dict[str, tuple[Branch, ...]] = {
    "ncs": ("ncs",),
    "dfps": ("ncs", "dfps"),
    "full": ("ncs", "dfps", "sr"),
}
READING = ("cpu", "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__")
SIDE = 32


class Calls(TorchDispatchMode):
    """Counts calls into torch, and those whose result has a size that only the device knows."""

    def __init__(self) -> None:
        super().__init__()
        self.number, self.sized = Counter(), Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.number[name] += 1
        masks = name.startswith("index") and any(
            isinstance(x, Tensor) and x.dtype == torch.bool for x in args[1] or ()
        )
        if masks or name in ("nonzero", "masked_select", "_unique2", "_local_scalar_dense"):
            self.sized[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def counted() -> Iterator[tuple[Calls, list[str]]]:
    """Calls into torch, and the reads of the host, but for those of the CPU's kernels."""
    reads: list[str] = []
    with pytest.MonkeyPatch.context() as patch, Calls() as calls:
        for name in READING:
            real = getattr(Tensor, name)

            def read(self: Tensor, *args: Any, real: Any = real, name: str = name) -> Any:
                caller = sys._getframe(1)
                if "nodulenet" in caller.f_code.co_filename and not (
                    caller.f_code.co_filename.endswith("boxes/dispatch.py")
                ):
                    reads.append(f"{name} in {caller.f_code.co_name}")
                return real(self, *args)

            patch.setattr(Tensor, name, read)
        yield calls, reads


def learner_of(stage: str, proposals: int) -> Learner:
    """A network that takes every second anchor for a nodule."""
    torch.manual_seed(0)
    net = NoduleNet(width=0.1)
    own = {"ncs": {"proposals": proposals, "nms_iou": 0.9}, "train": {"amp": False}}
    wanted = Objective(BRANCHES[stage], Recipe.model_validate(own))
    return Learner(net, torch.optim.SGD(net.parameters(), 1e-4), wanted)


def part_of(crops: int) -> Part:
    """Crops of noise with a nodule in each."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 255, (crops, 1, *(SIDE,) * 3)).astype(np.uint8))
    nodules = torch.zeros(images.shape, dtype=torch.bool)
    nodules[..., 8:20, 10:22, 12:24] = True
    boxes = np.array([[13.5, 15.5, 17.5, 20, 20, 20]], np.float32)
    truth = map(torch.from_numpy, padded_truth([TruthBoxes(boxes, np.ones(1, bool))] * crops))
    held = nodules[:, 0].numpy()
    return Part(Crops(images, nodules, held, *truth, torch.arange(crops)), 1.0)


def cost_of_a_step(stage: str, crops: int, proposals: int) -> tuple[Counter, list[str]]:
    learner, part = learner_of(stage, proposals), part_of(crops)
    train_step(learner, [part])  # what is uploaded once is uploaded
    with counted() as (calls, reads):
        train_step(learner, [part])
    assert not calls.sized, calls.sized
    return calls.number, reads


# The two of stage full are .cpu() and .numpy() of one tensor.
@pytest.mark.parametrize(("stage", "most"), [("ncs", 0), ("dfps", 0), ("full", 2)])
def test_reads_and_calls_of_a_step_do_not_grow(
    stage: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = objective.places_to_segment

    def one_group(detections: Any, masks: Any, settings: Any) -> Any:
        """As many crops as the batch has, all of one size; the groups are the only loop."""
        real(detections, masks, settings)  # it reads
        return [CropGroup((8, 12, 8), np.array([[k, 8, 8, 8] for k in range(len(masks))] * 3))]

    monkeypatch.setattr(objective, "places_to_segment", one_group)
    monkeypatch.setattr(heads, "norm_each", heads.norm_together)  # as on a GPU
    sizes = [(2, 10), (16, 10), (2, 3000)]
    costs = [cost_of_a_step(stage, crops, proposals) for crops, proposals in sizes]
    assert len(costs[0][1]) <= most, costs[0][1]
    assert costs[1] == costs[0]
    assert costs[2] == costs[0]


def test_losses_are_read_every_ten_steps() -> None:
    learner, part = learner_of("dfps", 10), part_of(2)
    reads = {}
    for steps in (1, READ_EVERY, 2 * READ_EVERY + 1):
        with counted() as (_, reads[steps]):
            train_one_epoch(learner, [[part]] * steps)
    in_steps = {steps: own.count("tolist in settle") for steps, own in reads.items()}
    assert in_steps == {1: 1, READ_EVERY: 1, 2 * READ_EVERY + 1: 3}
    # All else is read at the end of the epoch.
    assert {len(own) - in_steps[steps] for steps, own in reads.items()} == {
        len(reads[1]) - in_steps[1]
    }


def test_prediction_reads_only_what_it_must() -> None:
    """How many candidates there are and how many to segment, whether their boxes are finite, and
    the result."""
    torch.manual_seed(0)
    net = NoduleNet(width=0.1).eval()
    provenance = Provenance(Recipe(), BRANCHES["dfps"], "dfps", 0, 1)
    member = Member(net, provenance)
    volume = np.random.default_rng(0).integers(0, 255, (32, 32, 48)).astype(np.uint8)
    found = {}
    for threshold in (0.45, 0.5):
        settings = InferenceSettings(ncs_threshold=threshold, nms_iou=0.9)
        # Several networks and mirror images need no more reads than one.
        for mirrors in (UNMIRRORED, MIRRORS):
            predictor = Predictor([member], settings, amp=False, mirrors=mirrors)
            with counted() as (calls, reads):
                count = len(predict_window(predictor, volume).ncs_boxes)
            found[threshold, len(mirrors)] = count, sorted(reads), dict(calls.sized)
    counts = [count for count, _, _ in found.values()]
    assert max(counts) > min(counts) > 50
    (first, *others) = [costs for _, *costs in found.values()]
    assert others == [first] * 3
    assert {read.partition(" in ")[2] for read in first[0]} == {"_decoded", "_on_host"}
    assert first[1] == {"nonzero": 1, "index": 1}
