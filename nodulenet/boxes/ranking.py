"""Ranks of scores: a stable radix sort, which NumPy has for short integers only."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def score_bits(scores: NDArray) -> NDArray:
    """Scores (N,) float32 or float64 as the unsigned integers of their bits, -0 as 0."""
    return (scores + scores.dtype.type(0)).view(f"u{scores.itemsize}")


@njit(cache=True, nogil=True)
def falling(bits: NDArray) -> NDArray:
    """Indices int32 (N,) that sort the scores behind `bits` by falling value, equal ones in order.

    Sorted by one byte after another, the lowest first; a byte that all share costs no pass.
    """
    keys, spare_keys = _rising_keys(bits), np.empty_like(bits)
    order, spare_order = np.arange(len(bits)).astype(np.int32), np.empty(len(bits), np.int32)
    counts = _byte_counts(keys)
    for byte in range(bits.itemsize):
        if not _moves(counts[byte], len(bits)):
            continue
        _scatter(keys, order, spare_keys, spare_order, counts[byte], byte)
        keys, spare_keys = spare_keys, keys
        order, spare_order = spare_order, order
    return order


@njit(cache=True, nogil=True)
def _rising_keys(bits: NDArray) -> NDArray:
    """Unsigned integers that rise where the floats behind `bits` fall."""
    keys = np.empty_like(bits)
    zero = bits.dtype.type(0)
    top = bits.dtype.type(8 * bits.itemsize - 1)
    low_mask = ~zero >> bits.dtype.type(1)
    for i in range(len(bits)):
        # A positive float's bits rise with it and a negative one's fall, sign bit included.
        keys[i] = bits[i] if bits[i] >> top else bits[i] ^ low_mask
    return keys


@njit(cache=True, nogil=True)
def _byte_counts(keys: NDArray) -> NDArray:
    counts = np.zeros((keys.itemsize, 256), np.int32)
    for i in range(len(keys)):
        for byte in range(keys.itemsize):
            counts[byte, (keys[i] >> keys.dtype.type(8 * byte)) & keys.dtype.type(255)] += 1
    return counts


@njit(cache=True, nogil=True)
def _moves(counts: NDArray, total: int) -> bool:
    for count in counts:
        if count:
            return count < total
    return False


@njit(cache=True, nogil=True)
def _scatter(
    keys: NDArray,
    order: NDArray,
    into_keys: NDArray,
    into_order: NDArray,
    counts: NDArray,
    byte: int,
) -> None:
    place = np.empty(256, np.int32)
    start = 0
    for value in range(256):
        place[value] = start
        start += counts[value]
    for i in range(len(keys)):
        value = (keys[i] >> keys.dtype.type(8 * byte)) & keys.dtype.type(255)
        into_keys[place[value]], into_order[place[value]] = keys[i], order[i]
        place[value] += 1
