"""One augmented training crop in one pass over the source, compared with SciPy's zoom and rotation;
and crops per second of the whole feed, by the threads that cut them.

python -m benchmarks.augment [--size 128] [--workers 2]
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.scene import draw_scans, draw_volume
from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.settings import Recipe
from nodulenet.training.crops import CropPlan, cut_crop
from nodulenet.training.distributed import Rank
from nodulenet.training.feed import epoch_feed

FILL = 170


def zoom_and_rotate(
    volume: NDArray[np.uint8], labels: NDArray[np.uint8], plan: CropPlan
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The usual way: cut a block, zoom it, rotate it, as separate steps."""
    block = round(plan.size / plan.scale)
    low = [int(a) for a in plan.start]
    part = tuple(slice(a, a + block) for a in low)
    degrees = math.degrees(plan.angle)
    image = ndimage.zoom(volume[part], plan.scale, order=1)
    image = ndimage.rotate(image, degrees, (1, 2), reshape=False, order=1, cval=FILL)
    target = ndimage.zoom(labels[part], plan.scale, order=0)
    target = ndimage.rotate(target, degrees, (1, 2), reshape=False, order=0)
    return image, target


def print_feed(size: int, most: int) -> None:
    """Crops per second from files on disk, by 1, 2, 4 ... up to `most` threads."""
    print("\n| threads | crops/s |\n| --- | --- |")
    workers = [2**k for k in range(most.bit_length()) if 2**k < most] + [most]
    with tempfile.TemporaryDirectory() as folder:
        scans = draw_scans(Path(folder), 4, size + 80)
        for number in workers:
            settings = Recipe.model_validate(
                {"train": {"crop": size, "workers": number}, "augment": {"random_crops": 23}}
            )
            begin = time.perf_counter()
            feed = epoch_feed(scans, settings, [0], Rank(), torch.device("cpu"))
            crops = sum(len(part.crops.images) for step in feed for part in step)
            seconds = time.perf_counter() - begin
            print(f"| {number} | {crops / seconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="side of the crop, voxels")
    parser.add_argument("--workers", type=int, help="threads, of the feed")
    options = parser.parse_args()
    size = options.size
    volume, labels = draw_volume((size + 80,) * 3, 12)
    print_machine(["numpy", "numba", "scipy"])
    if options.workers:
        print_feed(size, options.workers)
        return
    rows = []
    for work, scale, angle in (
        ("scaled and rotated", 1.1, 0.5),
        ("rotated", 1.0, 0.5),
        ("plain", 1.0, 0.0),
    ):
        plan = CropPlan((20.0, 22.0, 24.0), size, scale, angle, (True, False))
        rows.append(
            time_in_turn(
                f"{size}^3 crop, {work}",
                {
                    "ours": lambda plan=plan: cut_crop(volume, labels, plan, FILL, FILL),
                    "SciPy": lambda plan=plan: zoom_and_rotate(volume, labels, plan),
                },
            )
        )
    print_table(rows)


if __name__ == "__main__":
    main()
