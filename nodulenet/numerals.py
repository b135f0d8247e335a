"""Numbers in the text that users give: plain decimal digits and nothing else.

Python's own `float` and `int` also read `1_000`, `infinity`, `nan` and the digits of other scripts,
which no table, header or option means: `5_0` is a slip, not 50.
"""

import math
import re

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
COUNT = re.compile(r"[0-9]{1,18}")  # no more, so that it fits 64 bits
FOREIGN = re.compile(r"[^0-9.eE+\-]")
"""What is in no number: of a text without it Python's `float` reads a `NUMBER` or nothing."""


def to_number(text: str) -> float:
    """A finite number, with a sign, a point and an exponent or without.

    Raises `ValueError` naming the text for anything else: blanks, underscores, `inf`, `nan`,
    hexadecimal, the digits of other scripts, a number beyond the range of float64.
    """
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def is_positive(text: str) -> bool:
    """Whether a text is a number above 0."""
    try:
        return to_number(text) > 0
    except ValueError:
        return False


def to_count(text: str) -> int:
    """A whole number of at most 18 digits, without a sign.

    Raises `ValueError` naming the text for anything else.
    """
    if not COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)
