"""The picture of a card: three cuts side by side, and outlines to lay over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.pages import png
from nodulenet.plots.cases import Case, cuts

GAP = 2


@dataclass(frozen=True)
class Picture:
    """A strip of three cuts as the address of a PNG, its size in pixels, and SVG paths on it.

    circles: (x, y, radius) of the same ball in each cut, where there is no mask of it.
    """

    source: str
    width: int
    height: int
    truth: str
    prediction: str
    circles: Sequence[tuple[float, float, float]]
    bar: float


def picture(case: Case, through: NDArray[np.bool_], ball_mm: float | None = None) -> Picture:
    """Draw a case in axial, coronal and sagittal cuts, each where `through` is largest.

    The patient's right is at the left of the first two, the front of the third; front and head
    are above. ball_mm: diameter of a ball about the middle of the cube, to be drawn as circles.
    """
    side = case.image.shape[0]
    width = 3 * side + 2 * GAP
    strip = np.zeros((side, width), np.uint8)
    paths: dict[str, str] = {"truth": "", "prediction": ""}
    planes = cuts(case, through)
    for place, (image, truth, prediction) in enumerate(planes):
        left = place * (side + GAP)
        turn = slice(None, None, -1 if place else 1)
        strip[:, left : left + side] = image[turn]
        paths["truth"] += outline(truth[turn], left)
        paths["prediction"] += outline(prediction[turn], left)
    radius = 0.0 if ball_mm is None else ball_mm / case.voxel_mm / 2
    lefts = [place * (side + GAP) for place in range(3)]
    circles = [(left + side / 2, side / 2, round(radius, 2)) for left in lefts if radius > 0]
    return Picture(png(strip), width, side, **paths, circles=circles, bar=10 / case.voxel_mm)


def outline(mask: NDArray[np.bool_], left: int = 0) -> str:
    """The border of a mask (rows, columns) as an SVG path of straight runs along its pixels' edges.

    left: added to x. A pixel reaches from its index to the next whole number.
    """
    held = np.pad(mask, 1)
    along_rows = runs(held[1:] != held[:-1])
    along_columns = runs((held[:, 1:] != held[:, :-1]).T)
    return "".join(
        [f"M{left + x - 1} {y}h{length}" for y, x, length in along_rows]
        + [f"M{left + x} {y - 1}v{length}" for x, y, length in along_columns]
    )


def runs(lines: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """The runs of True along each row: (row, first column, length)."""
    steps = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, first = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    return list(zip(rows.tolist(), first.tolist(), (end - first).tolist(), strict=True))
