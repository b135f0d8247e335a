"""A scan of the usual size for benchmarks: a body, two lungs with texture, a few nodules."""

import numpy as np
from numpy.typing import NDArray

from nodulenet.imaging import Volume
from nodulenet.imaging.masks import Nodule
from nodulenet.masks import CroppedMask

SHAPE = (133, 512, 512)
SPACING = (2.5, 0.703, 0.703)
NODULES = 4
TISSUE_HU, LUNG_HU, AIR_HU = 40, -850, -1000


def phantom(shape: tuple[int, int, int] = SHAPE) -> tuple[Volume, NDArray[np.uint8], list[Nodule]]:
    """The volume in HU (int16), its lung mask (3 left, 4 right) and its nodules."""
    rng = np.random.default_rng(0)
    hu = np.full(shape, AIR_HU, np.int16)
    hu[ellipsoid(shape, (0.5, 0.5, 0.5), (0.75, 0.35, 0.44))] = TISSUE_HU
    lungs = np.zeros(shape, np.uint8)
    lungs[ellipsoid(shape, (0.5, 0.5, 0.29), (0.4, 0.24, 0.14))] = 4
    lungs[ellipsoid(shape, (0.5, 0.5, 0.71), (0.4, 0.24, 0.14))] = 3
    hu[lungs > 0] = LUNG_HU
    nodules = []
    for number in range(NODULES):
        size = (3 + 2 * number, 7 + 6 * number, 7 + 6 * number)
        ball = ellipsoid(size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        z, y, x = (int(n * share) for n, share in zip(shape, (0.35 + 0.08 * number, 0.5, 0.3),
                                                      strict=True))  # fmt: skip
        hu[z : z + size[0], y : y + size[1], x : x + size[2]][ball] = TISSUE_HU
        nodules.append((number + 1, CroppedMask(ball, (z, y, x))))
    for plane in hu:
        plane += rng.integers(-40, 41, plane.shape, np.int16)
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (*SPACING, 1)
    return Volume(hu, affine), lungs, nodules


def ellipsoid(
    shape: tuple[int, int, int], centre: tuple[float, ...], half: tuple[float, ...]
) -> NDArray[np.bool_]:
    """A filled ellipsoid; centre and half axes as shares of the shape."""
    sides = [
        ((np.arange(n) + 0.5) / n - c) / h for n, c, h in zip(shape, centre, half, strict=True)
    ]
    z, y, x = (side**2 for side in sides)
    return (z[:, None, None] + y[:, None]) + x <= 1
