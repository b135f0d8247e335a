"""Draws by keys: the same on every device, in any batch and any number of processes.

A key is a hash of the crop's seed, the purpose and a number, and the k smallest keys are drawn. So
no draw depends on another or on their order. The hash is the finaliser of SplitMix64 (Steele, Lea
and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014).
"""

import torch
from torch import Tensor

STEP, FIRST, SECOND = (
    value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
"""Odd constants of SplitMix64 as signed integers."""

LARGEST = torch.iinfo(torch.int64).max


def hashed(values: Tensor) -> Tensor:
    """Hash int64 values of any shape; integers wrap."""
    for shift, factor in ((30, FIRST), (27, SECOND)):
        values = (values ^ shift_right(values, shift)) * factor
    return values ^ shift_right(values, 31)


def shift_right(values: Tensor, by: int) -> Tensor:
    """Shift to the right as if unsigned."""
    return (values >> by) & (2 ** (64 - by) - 1)


def draw_keys(seeds: Tensor, purpose: int, count: int) -> Tensor:
    """Keys (B, count) of each crop's numbers 0 to `count` - 1; seeds: (B,) int64."""
    own = hashed(seeds + torch.full_like(seeds, purpose) * STEP)
    return hashed(own[:, None] + torch.arange(count, device=seeds.device) * STEP)


def draw(eligible: Tensor, number: int, seeds: Tensor, purpose: int) -> tuple[Tensor, Tensor]:
    """Draw at most `number` of the true elements of every row of `eligible` (B, N).

    Returns the indices (B, k) of the elements drawn, k = min(`number`, N), in random order, and a
    mask (B, k), false at the end of a row that has too few.
    """
    keys = draw_keys(seeds, purpose, eligible.shape[1]).masked_fill(~eligible, LARGEST)
    smallest = keys.topk(min(number, eligible.shape[1]), largest=False)
    return smallest.indices, smallest.values < LARGEST
