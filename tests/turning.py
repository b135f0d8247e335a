"""A volume stored in another order of its axes, with the affine that keeps it where it is."""

from itertools import chain, combinations, permutations

import numpy as np

from nodulenet.imaging import Volume

FLIPS = list(chain.from_iterable(combinations(range(3), count) for count in range(4)))
ORIENTATIONS = [(order, flips) for order in permutations(range(3)) for flips in FLIPS]


def stored(volume, order, flips):
    """The volume with its axes exchanged (`order`: old axis of each new one), then flipped."""
    array = np.ascontiguousarray(np.flip(volume.array.transpose(order), flips))
    affine = volume.affine[:, [*order, 3]].copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Volume(array, affine)


def back(array, order, flips):
    """An array of `stored`, as it was before."""
    return np.flip(array, flips).transpose(np.argsort(order))
