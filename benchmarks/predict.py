"""Prediction of a whole scan, against the same in plain float32 with channels first.

python -m benchmarks.predict [--weights weights.pt --volume scan.npy] [--tile 192] [--threads 2]

Without weights an untrained network of `--width` predicts a made-up volume of `--shape`. Also
says how far the detections of the two lie apart, and the peak of memory.
"""

import argparse
import copy
import resource
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.scene import draw_volume
from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.inference.scan import InferenceSettings, ScanPrediction, predict_scan
from nodulenet.inference.tiles import predict_tiled
from nodulenet.model import NoduleNet
from nodulenet.model.device import to_device
from nodulenet.model.settings import DfpsSettings, SrSettings
from nodulenet.model.weights import load_weights

BRANCHES = ("ncs", "dfps", "sr")


def compare(ours: ScanPrediction, plain: ScanPrediction) -> str:
    """How many detections have a partner, and how far apart partners lie."""
    if not len(ours.ncs_boxes) or not len(plain.ncs_boxes):
        return f"{len(ours.ncs_boxes)} and {len(plain.ncs_boxes)} detections"
    apart = np.linalg.norm(ours.ncs_boxes[:, None, :3] - plain.ncs_boxes[None, :, :3], axis=2)
    partner = apart.argmin(1)
    near = apart.min(1) <= 0.5
    change = np.abs(ours.ncs_probability - plain.ncs_probability[partner])
    return (
        f"{len(ours.ncs_boxes)} and {len(plain.ncs_boxes)} detections, {near.sum()} within 0.5"
        f" voxel of each other; their probabilities differ by {change[near].max(initial=0):.4f} at"
        " most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--volume", type=Path, help="preprocessed volume, uint8 .npy")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--shape", type=int, nargs=3, default=(192, 224, 288))
    parser.add_argument("--tile", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print_machine(["torch", "numpy", "numba"])
    net = load_weights(options.weights)[0] if options.weights else NoduleNet(options.width)
    volume = np.load(options.volume) if options.volume else draw_volume(options.shape, 8)[0]
    plain = net.eval()
    ours = copy.deepcopy(net)
    to_device(ours, torch.device("cpu"))
    settings = InferenceSettings(ncs_threshold=options.threshold, tile=options.tile)

    def predict(part: NDArray[np.uint8], amp: bool = True) -> ScanPrediction:
        network = ours if amp else plain
        return predict_scan(network, part, BRANCHES, settings, DfpsSettings(), SrSettings(), amp)

    def whole() -> ScanPrediction:
        if options.tile:
            return predict_tiled(predict, volume, options.tile, settings)
        return predict(volume)

    found = whole()
    print(
        f"peak memory of ours: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"
    )
    print(compare(found, predict(volume, amp=False)), end="\n\n")
    shape = " x ".join(map(str, volume.shape))
    ways = {"ours": whole, "plain float32": lambda: predict(volume, amp=False)}
    print_table([time_in_turn(f"{shape} voxels", ways, options.repeats)])


if __name__ == "__main__":
    main()
