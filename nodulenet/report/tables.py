"""Tables of text for a page, and the format of numbers in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

NONE = "-"


@dataclass(frozen=True)
class TextTable:
    """A table of text. labels: how many columns at the left are words; the others are numbers."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1


def decimals(value: Any, digits: int = 3, sign: bool = False) -> str:
    """A number with so many decimals, a dash where there is none."""
    if pd.isna(value):
        return NONE
    return f"{value:{'+' if sign else ''}.{digits}f}"


def with_interval(value: Any, low: Any, high: Any, sign: bool = False) -> str:
    """A number and, where it is known, its 95 % interval."""
    text, start, end = (decimals(number, sign=sign) for number in (value, low, high))
    return text if start == NONE else f"{text} [{start}, {end}]"


def with_noun(number_of: int, noun: str) -> str:
    """A number with its noun: `1 scan`, `2 scans`."""
    return f"{number_of} {noun}{'s' * (number_of != 1)}"


def spread(values: Sequence[float], digits: int) -> tuple[str, str, str]:
    """Least, median and greatest of some numbers; dashes where there is none."""
    series = pd.Series(values, dtype=float)
    least, median, greatest = series.min(), series.median(), series.max()
    return decimals(least, digits), decimals(median, digits), decimals(greatest, digits)
