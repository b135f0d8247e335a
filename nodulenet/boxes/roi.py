"""Where in a feature map the maxima of boxes on a 7x7x7 grid lie."""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes.dispatch import dispatch

ROI_SIDE = 7


def roi_maxima(maps: Tensor, items: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Find the maxima of adaptive max-pooling to 7x7x7.

    maps: (batch, z, y, x, C) float32, contiguous; items: (N,) batch index; low, high: (N, 3)
    half-open RoIs in voxels of the maps; all int64. Bin i of a side of n voxels runs from
    floor(i n / 7) to ceil((i + 1) n / 7). Returns (N, 343, C) int64: voxels, counted through the
    whole batch; the first of equal maxima.
    """

    def on_cuda(maps: Tensor, items: Tensor, low: Tensor, high: Tensor) -> Tensor:
        from nodulenet.boxes.cuda import roi_maxima_cuda

        return roi_maxima_cuda(maps, items, low, high)

    return dispatch(_roi_maxima_cpu, on_cuda, maps, items, low, high)


@njit(cache=True, nogil=True)
def _roi_maxima_cpu(maps: NDArray, items: NDArray, low: NDArray, high: NDArray) -> NDArray:
    _, depth, height, width, channels = maps.shape
    index = np.empty((len(items), ROI_SIDE**3, channels), np.int64)
    best = np.empty(channels, np.float32)
    for n in range(len(items)):
        source, first = maps[items[n]], items[n] * depth * height * width
        for place in range(ROI_SIDE**3):
            z0, z1 = roi_bin(place // ROI_SIDE**2, low[n, 0], high[n, 0])
            y0, y1 = roi_bin(place // ROI_SIDE % ROI_SIDE, low[n, 1], high[n, 1])
            x0, x1 = roi_bin(place % ROI_SIDE, low[n, 2], high[n, 2])
            at = index[n, place]
            best[:] = -np.inf
            at[:] = first + (z0 * height + y0) * width + x0
            for z in range(z0, z1):
                for y in range(y0, y1):
                    for x in range(x0, x1):
                        voxel = first + (z * height + y) * width + x
                        values = source[z, y, x]
                        for c in range(channels):
                            higher = values[c] > best[c]
                            at[c] = voxel if higher else at[c]
                            best[c] = values[c] if higher else best[c]
    return index


@njit(cache=True, nogil=True, forceinline=True)
def roi_bin(i: int, low: int, high: int) -> tuple[int, int]:
    """First voxel of bin `i` of a RoI's side, and the one after its last."""
    size = high - low
    return low + i * size // ROI_SIDE, low - (-(i + 1) * size // ROI_SIDE)
