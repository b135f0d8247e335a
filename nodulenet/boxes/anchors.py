"""The anchors of candidate screening: cubes on the grid of the 1/4 feature map."""

import numpy as np
from numpy.typing import NDArray

ANCHOR_SIDES = (5.0, 10.0, 20.0, 30.0, 50.0)
"""Sides in voxels, in the order of the head's channels."""

STRIDE = 4


def anchor_grid(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Anchors of a feature map of `shape` (z, y, x): (N, 6) rows (z, y, x, d, h, w) in voxels.

    Centres lie at 1.5 + 4 i; rows run over z, y, x and then the sides, as the head's outputs do.
    """
    axes = [(STRIDE - 1) / 2 + STRIDE * np.arange(n, dtype=np.float32) for n in shape]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 1, 3)
    sides = np.array(ANCHOR_SIDES, np.float32)[None, :, None]
    return np.concatenate(
        [
            np.broadcast_to(centres, (len(centres), len(ANCHOR_SIDES), 3)),
            np.broadcast_to(sides, (len(centres), len(ANCHOR_SIDES), 3)),
        ],
        -1,
    ).reshape(-1, 6)
