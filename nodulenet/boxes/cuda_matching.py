"""CUDA kernels of matching and of RoI maxima, with the CPU's results to the last bit."""

from typing import Any

import numpy as np
from numba import cuda

from nodulenet.boxes.cuda_kernels import ZERO, _iou
from nodulenet.boxes.matching import IGNORED, NEGATIVE
from nodulenet.boxes.roi import ROI_SIDE

MATCH_THREADS, ROI_THREADS = 128, 256


@cuda.jit(cache=True)
def best_of_truth(boxes: Any, truth: Any, highest: Any) -> None:
    """highest[b, t] = the highest IoU of truth box t with the boxes of crop b.

    boxes: (B or 1, N, 7), truth: (B, T, 7) corners. Blocks (boxes, crop), one thread per box.
    """
    i, crop = cuda.grid(1), cuda.blockIdx.y
    if i < boxes.shape[1]:
        own = boxes[crop % boxes.shape[0]]
        for t in range(truth.shape[1]):
            iou = _iou(own, i, truth[crop], t)
            if iou > highest[crop, t]:
                cuda.atomic.max(highest, (crop, t), iou)


@cuda.jit(cache=True)
def label_all(boxes: Any, truth: Any, least: Any, negative: Any, labels: Any) -> None:
    """labels[b, i] as `match` gives them; least[b, t]: the IoU from which truth box t takes a box.

    Shapes and blocks as for `best_of_truth`.
    """
    i, crop = cuda.grid(1), cuda.blockIdx.y
    if i < boxes.shape[1]:
        own = boxes[crop % boxes.shape[0]]
        found, of_found, most = IGNORED, ZERO, ZERO
        for t in range(truth.shape[1]):
            iou = _iou(own, i, truth[crop], t)
            most = max(most, iou)
            if iou > of_found and iou >= least[crop, t]:
                found, of_found = t, iou
        labels[crop, i] = NEGATIVE if found == IGNORED and most < negative else found


@cuda.jit(cache=True)
def find_maxima(maps: Any, items: Any, low: Any, high: Any, maxima: Any, voxels: Any) -> None:
    """maxima, voxels (N, C, 343) as `roi_maxima` gives them.

    One thread per element, channels side by side: they are neighbours in the maps.
    """
    channels, places = maxima.shape[1], maxima.shape[2]
    at = cuda.grid(1)
    if at >= maxima.shape[0] * channels * places:
        return
    c, place, n = at % channels, at // channels % places, at // channels // places
    depth, height, width = maps.shape[1], maps.shape[2], maps.shape[3]
    z0, z1 = _roi_bin(place // ROI_SIDE**2, low[n, 0], high[n, 0])
    y0, y1 = _roi_bin(place // ROI_SIDE % ROI_SIDE, low[n, 1], high[n, 1])
    x0, x1 = _roi_bin(place % ROI_SIDE, low[n, 2], high[n, 2])
    item = items[n]
    best, found = np.float32(-np.inf), (z0 * height + y0) * width + x0
    for z in range(z0, z1):
        for y in range(y0, y1):
            for x in range(x0, x1):
                value = maps[item, z, y, x, c]
                if value > best:
                    best, found = value, (z * height + y) * width + x
    maxima[n, c, place] = best
    voxels[n, c, place] = item * depth * height * width + found


@cuda.jit(cache=True)
def add_gradient(gradient: Any, voxels: Any, sums: Any) -> None:
    """sums (voxels, C) += gradient (N, C, 343) at its voxels; one thread per element."""
    channels, places = voxels.shape[1], voxels.shape[2]
    at = cuda.grid(1)
    if at < voxels.shape[0] * channels * places:
        place, c, n = at % places, at // places % channels, at // places // channels
        cuda.atomic.add(sums, (voxels[n, c, place], c), gradient[n, c, place])


@cuda.jit(device=True)
def _roi_bin(i: int, low: int, high: int) -> tuple[int, int]:
    """First voxel of bin `i` of a RoI's side, and the one after its last."""
    size = high - low
    return low + i * size // ROI_SIDE, low - (-(i + 1) * size // ROI_SIDE)
