"""The IoU matrix, compared with NumPy and MONAI: `python -m benchmarks.iou [--sizes N ...]`.

`fill` writes a matrix of that size and reads nothing: a lower bound for the time.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.plain_nms import early_boxes
from benchmarks.timing import Row, print_machine, print_table, time_in_turn
from nodulenet.boxes import iou_matrix


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 4_000])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print_machine(["numpy", "numba", "torch", "monai"])
    print_table([measure(count, options.repeats) for count in options.sizes])


def measure(count: int, repeats: int) -> Row:
    """`count` boxes against as many others."""
    from monai.data.box_utils import box_iou

    a, b = early_boxes(count, 1)[0], early_boxes(count, 2)[0]
    ends_a, ends_b = torch.from_numpy(_ends(a)), torch.from_numpy(_ends(b))
    peers = {
        "ours": lambda: iou_matrix(a, b),
        "NumPy": lambda: numpy_iou(a, b),
        "MONAI": lambda: box_iou(ends_a, ends_b),
        "fill": lambda: np.ones((count, count), np.float32),
    }
    return time_in_turn(f"{count:,} x {count:,}", peers, repeats)


def numpy_iou(a: NDArray, b: NDArray) -> NDArray:
    """The usual broadcast over all pairs."""
    ends_a, ends_b = _ends(a)[:, None], _ends(b)[None]
    low, high = (
        np.maximum(ends_a[..., :3], ends_b[..., :3]),
        np.minimum(ends_a[..., 3:], ends_b[..., 3:]),
    )
    overlap = (high - low).clip(0).prod(-1)
    return overlap / (a[:, None, 3:].prod(-1) + b[None, :, 3:].prod(-1) - overlap)


def _ends(boxes: NDArray) -> NDArray:
    half = boxes[:, 3:] / 2
    return np.concatenate([boxes[:, :3] - half, boxes[:, :3] + half], 1)


if __name__ == "__main__":
    main()
