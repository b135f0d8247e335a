"""Our own lung segmentation: `python -m benchmarks.lungs`.

The peer is the usual way at full resolution with SciPy: threshold, remove the surrounding air, keep
the two largest components, close them slice by slice and fill their holes.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.phantom import phantom
from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.imaging import Volume, segment_lungs


def main() -> None:
    options = parse()
    print_machine(["numpy", "scipy", "opencv-python-headless"])
    scan, truth, _ = phantom((options.slices, 512, 512))
    candidates = {"ours": lambda: segment_lungs(scan)}
    if not options.no_peer:
        candidates["SciPy"] = lambda: usual(scan)
    work = f"lungs of {options.slices} x 512 x 512"
    print_table([time_in_turn(work, candidates, options.repeats)])
    found = segment_lungs(scan) > 0
    dice = 2 * (found & (truth > 0)).sum() / (found.sum() + (truth > 0).sum())
    print(f"\nDice of ours with the phantom's lungs: {dice:.3f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=133)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    return parser.parse_args()


def usual(scan: Volume) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(scan.array < -400)
    sizes = np.bincount(labels.ravel())
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        sizes[np.unique(face)] = 0
    sizes[0] = 0
    lungs = np.isin(labels, np.argsort(-sizes)[:2])
    disc = np.hypot(*np.mgrid[-13:14, -13:14]) <= 13
    for plane in lungs:
        plane[:] = ndimage.binary_fill_holes(ndimage.binary_closing(plane, disc))
    return lungs


if __name__ == "__main__":
    main()
