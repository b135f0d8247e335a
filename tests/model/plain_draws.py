"""The draws of the targets in plain Python integers."""

from collections.abc import Sequence

WORD = 2**64


def plain_hash(value: int) -> int:
    """The finaliser of SplitMix64, unsigned."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % WORD
    return value ^ (value >> 31)


def plain_key(seed: int, purpose: int, number: int) -> int:
    """The key of a number, with a sign."""
    step = 0x9E3779B97F4A7C15
    key = plain_hash((plain_hash((seed + purpose * step) % WORD) + number * step) % WORD)
    return key - WORD if key >= WORD // 2 else key


def plain_draw(likely: Sequence[int], number: int, seed: int, purpose: int) -> list[int]:
    """Those of the smallest keys, in the order of the keys."""
    return sorted(likely, key=lambda k: plain_key(seed, purpose, k))[:number]
