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


def number_or_nan(text: str) -> float:
    """A finite number; sign, point and exponent are optional.

    NaN for anything else: blanks, underscores, `inf`, `nan`, hexadecimal, the digits of other
    scripts, a number beyond the range of float64.
    """
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else math.nan


def to_number(text: str) -> float:
    """As `number_or_nan`, but raises `ValueError` naming a text that is not a number."""
    value = number_or_nan(text)
    if math.isnan(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def to_count(text: str) -> int:
    """A whole number of at most 18 digits, without a sign.

    Raises `ValueError` naming the text for anything else.
    """
    if not COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)
