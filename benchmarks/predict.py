"""Prediction of a whole scan, compared with plain float32 with channels first.

python -m benchmarks.predict [--weights weights.pt --volume scan.npy] [--tile 256] [--threads 2]

Without weights a network of `--width`, trained for `--warm` steps on synthetic crops, predicts a
synthetic volume of `--shape`. Also prints the distances between the detections of the two, and the
peak memory. Of two overlapping candidates with nearly equal probabilities bfloat16 may keep the
other one; the better a network is trained, the fewer such pairs it has.
"""

import argparse
import copy
import resource
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.scene import draw_crops, draw_volume
from benchmarks.timing import print_machine, print_table, time_in_turn
from benchmarks.train import operations
from nodulenet.inference.predictor import Member, Predictor, ScanPrediction
from nodulenet.inference.tiles import predict_volume
from nodulenet.model import NoduleNet
from nodulenet.model.device import to_device
from nodulenet.model.objective import Objective
from nodulenet.model.weights import Provenance, load_weights
from nodulenet.settings import InferenceSettings, Recipe
from nodulenet.training.engine import Learner, train_one_epoch
from nodulenet.training.feed import Part

BRANCHES = ("ncs", "dfps", "sr")
Found = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Boxes (N, 6) and probabilities (N,)."""

WARM_CROP = 64
WARM_LR = 0.003


def warmed(width: float, steps: int) -> NoduleNet:
    """A network trained on synthetic crops, two new ones per step, to detect balls."""
    net = NoduleNet(width)
    to_device(net, torch.device("cpu"))
    optimiser = torch.optim.SGD(net.parameters(), WARM_LR, momentum=0.9)
    for first, branches in ((0, ("ncs",)), (steps // 2, BRANCHES)):
        seeds = range(first, first + steps // 2)
        feed = ([Part(draw_crops(2, WARM_CROP, 1, "cpu", 2 * seed), 1.0)] for seed in seeds)
        train_one_epoch(Learner(net, optimiser, Objective(branches)), feed)
    return net.to(memory_format=torch.contiguous_format)


def candidates(found: ScanPrediction) -> Found:
    """Boxes and probabilities of screening."""
    return found.ncs_boxes, found.ncs_probability


def findings(found: ScanPrediction) -> Found:
    """Kept refined boxes with a mean probability of at least a half."""
    probability = (found.ncs_probability + found.dfps_probability) / 2
    rows = found.kept & (probability >= 0.5)
    return found.dfps_boxes[rows], probability[rows]


def compare(what: str, ours: Found, plain: Found) -> str:
    """The number of detections that have a partner, and the distances between partners."""
    numbers = f"{len(ours[0])} and {len(plain[0])} {what}"
    if not len(ours[0]) or not len(plain[0]):
        return numbers
    apart = np.linalg.norm(ours[0][:, None, :3] - plain[0][None, :, :3], axis=2)
    partner = apart.argmin(1)
    near = apart.min(1) <= 0.5
    change = np.abs(ours[1] - plain[1][partner])[near].max(initial=0)
    return (
        f"{numbers}, {near.sum()} within 0.5 voxel of each other; their probabilities differ by"
        f" {change:.4f} at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--volume", type=Path, help="preprocessed volume, uint8 .npy")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--warm", type=int, default=200, help="steps of training before")
    parser.add_argument("--shape", type=int, nargs=3, default=(192, 224, 288))
    parser.add_argument("--tile", type=int)
    parser.add_argument("--halo", type=int, default=InferenceSettings().halo)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print_machine(["torch", "numpy", "numba"])
    weights = options.weights
    net = load_weights(weights)[0] if weights else warmed(options.width, options.warm)
    volume = np.load(options.volume) if options.volume else draw_volume(options.shape, 8)[0]
    plain = net.eval()
    ours = copy.deepcopy(net)
    to_device(ours, torch.device("cpu"))
    settings = InferenceSettings(
        ncs_threshold=options.threshold, tile=options.tile, halo=options.halo
    )

    provenance = Provenance(Recipe(), BRANCHES, "", None, 0)
    mixed = Predictor([Member(ours, provenance)], settings)
    at_once = settings.model_copy(update={"tile": None})
    full = Predictor([Member(plain, provenance)], at_once, amp=False)

    def whole() -> ScanPrediction:
        return predict_volume(mixed, volume)

    def exactly() -> ScanPrediction:
        return predict_volume(full, volume)

    found = whole()
    print(
        f"peak memory of ours: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"
    )
    exact = exactly()
    print(compare("candidates", candidates(found), candidates(exact)))
    print(compare("findings", findings(found), findings(exact)), end="\n\n")
    shape = " x ".join(map(str, volume.shape))
    ways = {"ours": whole, "plain float32": exactly}
    print_table([time_in_turn(f"{shape} voxels", ways, options.repeats)])
    print(f"\nGFLOP of the prediction: {operations(whole) / 1e9:.0f}")


if __name__ == "__main__":
    main()
