"""Numbers in users' text: plain decimal digits and nothing else.

Python's `float` and `int` also accept `1_000`, `infinity`, `nan` and the digits of other scripts,
which no table, header or option means: `5_0` is a typing error, not 50.
"""

import math
import re

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
COUNT = re.compile(r"[0-9]{1,18}")  # fits 64 bits
FOREIGN = re.compile(r"[^0-9.eE+\-]")
"""Characters of no number: in a text without them, `float` accepts a `NUMBER` or nothing."""


def to_number(text: str) -> float:
    """A finite number; sign, point and exponent are optional.

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
