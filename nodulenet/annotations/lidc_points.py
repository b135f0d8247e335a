"""The points of LIDC XML outlines, packed before the file is parsed.

Nine tenths of a file are elements `edgeMap` of one point each. A file that writes all of them
plainly is rewritten with a list of numbers for each run of points, which an XML parser passes
over at once; any other file is left to the parser as it stands, with the same result.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

POINTS = "{http://www.nih.gov}points"
BLANK = rb"[ \t\r\n]*+"
POINT = rb"<edgeMap>_<xCoord>_[0-9]{1,9}+_</xCoord>_<yCoord>_[0-9]{1,9}+_</yCoord>_</edgeMap>_"
# Not possessive itself: before Python 3.11.5 such a group takes the start of what does not match.
RUN = re.compile(rb"(?:" + POINT.replace(b"_", BLANK) + rb")+")
# Within a run the brackets become blanks and the letters of its three tags go.
BLANKS = bytes.maketrans(b"<>/", b"   ")
LETTERS = bytes(set(b"edgeMapxCoordyCoord"))
Vertices = tuple[tuple[float, float], ...]


def packed_points(content: bytes) -> bytes | None:
    """An XML file with each run of points as one element `points`, or None where it cannot be.

    It can if every `edgeMap` of the file is a point of two whole numbers without prefix,
    attribute or entity, and nothing in the file (comment, CDATA, document type) can hold text
    that looks like an element but is none.
    """
    packed, runs = RUN.subn(_packed, content)
    foreign = packed.count(b"points") > 2 * runs
    return None if foreign or b"edgeMap" in packed or b"<!" in packed else packed


def _packed(run: re.Match[bytes]) -> bytes:
    return b"<points>" + run[0].translate(BLANKS, LETTERS) + b"</points>"


def unpacked_points(texts: Iterable[str]) -> Vertices:
    """The points (x, y) of the elements `points` of one outline."""
    numbers = map(_coordinate, " ".join(texts).split())
    return tuple(zip(numbers, numbers, strict=True))


@lru_cache(maxsize=4096)
def _coordinate(text: str) -> float:
    return float(text)
