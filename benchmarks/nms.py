"""NMS, plain loops and MONAI: `python -m benchmarks.nms [--device cuda] [--sizes N ...]`.

`floor` is the minimum work of any exact NMS: sort the scores and read every box in that order.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.plain_nms import early_boxes, kept_list, suppress_forward, trained_boxes
from benchmarks.timing import Row, print_machine, print_table, time_in_turn
from nodulenet.boxes import nms
from nodulenet.boxes.iou import box_corners
from nodulenet.boxes.nms import descending_order, score_bits

MAKERS = {"early": early_boxes, "trained": trained_boxes}
FIRST_CALL = """
import time
clocks = time.perf_counter, time.process_time
now = lambda: [clock() for clock in clocks]
start = now()
import numpy as np
from nodulenet.boxes import nms
imported = now()
apart = np.ones((600, 6), np.float32)
apart[:, 0] = 2 * np.arange(600)
nms(apart[:9], apart[:9, 1], 0.1)
few = now()
nms(apart, apart[:, 1], 0.1)  # more than are tested exhaustively
names = "import", "first call", "first call with over 512 boxes kept"
for name, a, b in zip(names, (start, imported, few), (imported, few, now())):
    print(f"{name} {b[0] - a[0]:.2f} s ({b[1] - a[1]:.2f} s of CPU time)", end="; ")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--kinds", choices=MAKERS, nargs="+", default=list(MAKERS))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threshold", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--largest-plain", type=int, default=100_000, help="boxes, plain loops")
    parser.add_argument("--largest-monai", type=int, default=10_000, help="boxes, MONAI")
    parser.add_argument("--first-call", action="store_true", help="of a new process, and no more")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as ours; and idle threads of torch would disturb the others
    print_machine(["numpy", "numba", "torch", "monai"])
    if options.first_call:
        print_first_calls()
    else:
        measure = measure_cuda if options.device == "cuda" else measure_cpu
        print_table([measure(n, name, options) for name in options.kinds for n in options.sizes])


def measure_cpu(count: int, kind: str, options: argparse.Namespace) -> Row:
    """Ours on one thread; every peer's kept list is checked before it is timed."""
    boxes, scores = MAKERS[kind](count)
    threshold = options.threshold
    peers: dict[str, Callable[[], Any]] = {"ours": lambda: nms(boxes, scores, threshold)}
    if count <= options.largest_plain:
        peers["suppress-forward"] = lambda: suppress_forward(boxes, scores, threshold)
        peers["kept-list"] = lambda: kept_list(boxes, scores, threshold)
    check_alike({name: np.asarray(call()) for name, call in peers.items()})
    if count <= options.largest_monai:
        peers["MONAI"] = monai_nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    peers["floor"] = lambda: box_corners(boxes[descending_order(score_bits(scores))])
    repeats = 50 * options.repeats if count <= 1000 else options.repeats
    return time_in_turn(f"{kind}, {count:,}", peers, repeats)


def measure_cuda(count: int, kind: str, options: argparse.Namespace) -> Row:
    """Ours on the GPU; its kept list is compared with the CPU's."""
    boxes, scores = MAKERS[kind](count)
    there, scores_there = torch.from_numpy(boxes).cuda(), torch.from_numpy(scores).cuda()
    threshold = options.threshold
    peers: dict[str, Callable[[], Any]] = {
        "ours": lambda: nms(there, scores_there, threshold),
        "torch only": lambda: torch_nms(there, scores_there, threshold),
    }
    check_alike({"CPU": nms(boxes, scores, threshold), "GPU": peers["ours"]().cpu().numpy()})
    if count <= options.largest_monai:
        peers["MONAI"] = monai_nms(there, scores_there, threshold)
    peers["sort alone"] = lambda: torch.argsort(scores_there, descending=True, stable=True)
    return time_in_turn(f"{kind}, {count:,}", peers, options.repeats, torch.cuda.synchronize)


def check_alike(kept: dict[str, NDArray]) -> None:
    """Raise `ValueError` if two kept lists differ."""
    first, *others = kept
    for name in others:
        if not np.array_equal(kept[first], kept[name]):
            raise ValueError(f"{name} keeps other boxes than {first}")


def monai_nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> Callable[[], Any]:
    """MONAI's NMS of the same boxes, converted to corners."""
    from monai.data.box_utils import non_max_suppression

    half = boxes[:, 3:] / 2
    ends = torch.cat([boxes[:, :3] - half, boxes[:, :3] + half], 1)
    return lambda: non_max_suppression(ends, scores, threshold)


def torch_nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Greedy NMS with torch operations: each kept box is removed with all that it suppresses."""
    left, kept = torch.argsort(scores, descending=True, stable=True), []
    half = boxes[:, 3:] / 2
    low, high, volume = boxes[:, :3] - half, boxes[:, :3] + half, boxes[:, 3:].prod(1)
    while len(left):
        best = left[0]
        kept.append(best)
        sides = torch.minimum(high[best], high[left]) - torch.maximum(low[best], low[left])
        overlap = sides.clamp(min=0).prod(1)
        left = left[overlap / (volume[best] + volume[left] - overlap) < threshold]
    return torch.stack(kept)


def print_first_calls() -> None:
    """Import and first call in the very first process and in the next, with a separate cache."""
    with tempfile.TemporaryDirectory() as folder:
        for which in ("first process", "next process"):
            command = [sys.executable, "-c", FIRST_CALL]
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            done = subprocess.run(command, env=environment, check=True, capture_output=True)
            print(f"{which}: {done.stdout.decode().strip()}")


if __name__ == "__main__":
    main()
