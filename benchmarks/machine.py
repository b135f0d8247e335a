"""Speed of one thread of this machine, as a reference for the other tables."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.timing import print_machine, time_in_turn

BYTES = 1 << 28
STEPS = 20_000_000


def main() -> None:
    """Print bytes and operations per second, medians of five."""
    source = np.ones(BYTES // 4, np.float32)
    target = np.ones_like(source)
    order = np.random.default_rng(0).permutation(len(source) // 8).astype(np.int32)
    into = np.empty(len(order), np.float32)
    calls = {
        "copy": lambda: np.copyto(target, source),
        "fill": lambda: target.fill(2),
        "gather": lambda: np.take(source, order, out=into, mode="clip"),
        "compare": lambda: compare(source[:1024], STEPS),
    }
    seconds = time_in_turn("one thread", calls).seconds
    print_machine(["numpy", "numba"])
    print(f"copy, read and written: {2 * BYTES / seconds['copy'] / 1e9:.1f} GB/s")
    print(f"fill, written: {BYTES / seconds['fill'] / 1e9:.1f} GB/s")
    print(f"gather of 4-byte values from 32 MB: {len(order) / seconds['gather'] / 1e6:.0f} M/s")
    print(f"scalar steps (load, subtract, compare): {STEPS / seconds['compare'] / 1e6:.0f} M/s")


@njit(cache=True, nogil=True)
def compare(values: NDArray, steps: int) -> int:
    """Steps that each depend on the previous comparison, as in the test of a pair of boxes."""
    found, last = 0, np.float32(0)
    for i in range(steps):
        side = values[i & 1023] - last
        if side > np.float32(0.5):
            found += 1
            last = np.float32(1)
        else:
            last = np.float32(0)
    return found


if __name__ == "__main__":
    main()
