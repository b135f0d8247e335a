"""The maxima of boxes in a feature map on a 7x7x7 grid, and the gradient of those maxima."""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes.dispatch import dispatch

ROI_SIDE = 7


def roi_maxima(maps: Tensor, items: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Adaptive max-pooling to 7x7x7, without a graph.

    maps: (batch, z, y, x, C) float32, contiguous; items: (N,) batch index; low, high: (N, 3)
    half-open RoIs in voxels of the maps; all int64. Bin i of a side of n voxels runs from
    floor(i n / 7) to ceil((i + 1) n / 7). Returns (N, C, 343): the maxima, and int32 the voxels
    that they come from, counted through the whole batch; the first of equal maxima.
    """

    def on_cuda(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        from nodulenet.boxes.cuda import roi_maxima_cuda

        return roi_maxima_cuda(*tensors)

    return dispatch(_roi_maxima_cpu, on_cuda, maps, items, low, high)


def roi_gradient(gradient: Tensor, voxels: Tensor, count: int) -> Tensor:
    """Sum the gradients (N, C, 343) of maxima at their voxels: (`count` voxels, C) float32."""

    def on_cuda(gradient: Tensor, voxels: Tensor) -> Tensor:
        from nodulenet.boxes.cuda import roi_gradient_cuda

        return roi_gradient_cuda(gradient, voxels, count)

    return dispatch(lambda g, v: _roi_gradient_cpu(g, v, count), on_cuda, gradient, voxels)


@njit(cache=True, nogil=True)
def _roi_maxima_cpu(
    maps: NDArray, items: NDArray, low: NDArray, high: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    _, depth, height, width, channels = maps.shape
    maxima = np.empty((len(items), channels, ROI_SIDE**3), np.float32)
    voxels = np.empty(maxima.shape, np.int32)
    best, at = np.empty(channels, np.float32), np.empty(channels, np.int32)
    for n in range(len(items)):
        source, first = maps[items[n]], items[n] * depth * height * width
        for place in range(ROI_SIDE**3):
            z0, z1 = roi_bin(place // ROI_SIDE**2, low[n, 0], high[n, 0])
            y0, y1 = roi_bin(place // ROI_SIDE % ROI_SIDE, low[n, 1], high[n, 1])
            x0, x1 = roi_bin(place % ROI_SIDE, low[n, 2], high[n, 2])
            best[:] = -np.inf
            at[:] = first + (z0 * height + y0) * width + x0
            for z in range(z0, z1):
                for y in range(y0, y1):
                    for x in range(x0, x1):
                        voxel = np.int32(first + (z * height + y) * width + x)
                        values = source[z, y, x]
                        for c in range(channels):
                            higher = values[c] > best[c]
                            at[c] = voxel if higher else at[c]
                            best[c] = values[c] if higher else best[c]
            for c in range(channels):
                maxima[n, c, place], voxels[n, c, place] = best[c], at[c]
    return maxima, voxels


@njit(cache=True, nogil=True)
def _roi_gradient_cpu(gradient: NDArray, voxels: NDArray, count: int) -> NDArray[np.float32]:
    number, channels, places = voxels.shape
    sums = np.zeros((count, channels), np.float32)
    for n in range(number):
        for c in range(channels):
            for place in range(places):
                sums[voxels[n, c, place], c] += gradient[n, c, place]
    return sums


@njit(cache=True, nogil=True, forceinline=True)
def roi_bin(i: int, low: int, high: int) -> tuple[int, int]:
    """First voxel of bin `i` of a RoI's side, and the one after its last."""
    size = high - low
    return low + i * size // ROI_SIDE, low - (-(i + 1) * size // ROI_SIDE)
