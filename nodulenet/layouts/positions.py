"""Nodules of a data set that are positions: matched to CTs, and checked against their grids."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import DIAMETER, FINDING_COLUMNS, POSITION, with_numbers
from nodulenet.cohort.index import Passed
from nodulenet.files import InputError, replacing
from nodulenet.imaging.volume import blank
from nodulenet.layouts.common import NO_ANNOTATIONS, Image, Request, rows_without_ct

SIDES = ("width_mm", "height_mm", "depth_mm")
TURN = np.array([-1.0, -1.0, 1.0])  # between LPS and RAS
UNKNOWN = "-1"


class Placed(NamedTuple):
    """The rows of scans that can be used, in LPS; the other files; what is odd."""

    rows: pd.DataFrame
    passed: Passed
    notes: list[str]


def place_rows(
    rows: pd.DataFrame, images: Mapping[str, Image], path: Path, request: Request
) -> Placed:
    """The rows with an image that holds all its positions.

    rows: text, with a column `name` (of the image) and POSITION (mm, in the axes of `request`); the
    index holds the lines of `path`. A row without position and without nodule (empty `nodule`)
    says that its scan has none. A scan is left out if a position is missing or outside its grid:
    trained on, the nodule would count as background. Raises `InputError` if more positions lie in
    their grids in the other axes: then these are wrong, or the headers are.
    """
    passed = rows_without_ct(path, rows["name"], images)
    unread = images.keys() - set(rows["name"])
    passed += [(images[name].path, f"{NO_ANNOTATIONS}: {name}") for name in sorted(unread)]
    rows = rows[rows["name"].isin(list(images))]
    empty = (rows[list(POSITION)] == "").any(axis=1)
    none = (rows[list(POSITION)] == "").all(axis=1) & (rows["nodule"] == "")
    numbers = with_numbers(rows[~empty], POSITION, path)
    inside, both = check_axes(numbers, images, path, request)
    bad = pd.Series("", rows.index)
    bad[empty & ~none] = "a nodule has no position"
    bad[inside.index[~inside]] = "a nodule lies outside of it"
    for line, name, reason in rows[["name"]].assign(reason=bad)[bad != ""].itertuples():
        passed.append((images[name].path, f"{reason}: {path} line {line}"))
    left_out = set(rows["name"][bad != ""])
    kept = rows[~rows["name"].isin(left_out)]
    nodules = kept[~none[kept.index]]
    if request.axes == "RAS":
        nodules = nodules.assign(**{axis: negated(numbers, nodules, axis) for axis in POSITION[:2]})
    places = ["name", *POSITION]
    again = nodules[nodules.duplicated(places)]
    notes = [same_nodule(nodules, line, path) for line in again.index]
    if len(inside):
        notes.append(
            f"positions read as {request.axes}: {inside.sum() - both} lie in their CT so alone,"
            f" {both} also with x and y negated; look at some of them in their CTs"
        )
    return Placed(pd.concat([nodules.drop(again.index), kept[none[kept.index]]]), passed, notes)


def check_axes(
    numbers: pd.DataFrame, images: Mapping[str, Image], path: Path, request: Request
) -> tuple[pd.Series, int]:
    """Whether each position is inside the grid of its image; how many are in other axes too.

    Raises `InputError` if more are inside in the other axes.
    """
    inside = are_inside(numbers, images, request.axes)
    other = "RAS" if request.axes == "LPS" else "LPS"
    turned = are_inside(numbers, images, other)
    if turned.sum() > inside.sum():
        raise InputError(
            f"{path}: {inside.sum()} of {len(inside)} positions lie in their CT as {request.axes}"
            f" (x and y as they are), {turned.sum()} as {other} (x and y negated): if that is what"
            f" they are, say --axes {other}"
        )
    return inside, int((inside & turned).sum())


def are_inside(numbers: pd.DataFrame, images: Mapping[str, Image], axes: str) -> pd.Series:
    """Whether each position, in these axes, lies in the grid of its image."""
    places = {
        name: blank(images[name].header.affine, images[name].header.shape)
        for name in set(numbers["name"])
    }
    points = numbers[list(POSITION)].to_numpy(float) * (TURN if axes == "RAS" else 1.0)
    pairs = zip(numbers["name"], points, strict=True)
    found = [bool(places[name].contains(point)) for name, point in pairs]
    return pd.Series(found, numbers.index, dtype=bool)


def negated(numbers: pd.DataFrame, rows: pd.DataFrame, axis: str) -> list[str]:
    """The negated numbers of the rows on an axis as text."""
    return [repr(-value) for value in numbers.loc[rows.index, axis].tolist()]


def same_nodule(rows: pd.DataFrame, line: int, path: Path) -> str:
    """A note on a row at the position of an earlier one of its scan."""
    places = ["name", *POSITION]
    first = (rows[places] == rows.loc[line, places]).all(axis=1).idxmax()
    return f"{path}: lines {first} and {line} are the same nodule: counted once"


def listed_scans(
    placed: Placed, images: Mapping[str, Image], patients: Mapping[str, str], request: Request
) -> list[dict[str, str]]:
    """The rows of the scan table, each of which names the table of nodules to be written."""
    names = dict.fromkeys(placed.rows["name"])
    return [
        {
            "series_uid": images[name].uid,
            "patient_id": patients[name],
            "ct": str(images[name].path),
            "annotations": str(request.nodules),
            "lung_mask": "",
        }
        for name in names
    ]


def listed_table(placed: Placed, images: Mapping[str, Image]) -> pd.DataFrame:
    """The table of nodules in our format; `SIDES` and diameter are those of the rows, if any."""
    rows = placed.rows[(placed.rows[list(POSITION)] != "").all(axis=1)]
    uids = [images[name].uid for name in rows["name"]]
    rows = rows.assign(seriesuid=uids)
    if DIAMETER not in rows:
        rows = rows.assign(**{DIAMETER: UNKNOWN})
    return rows[[*FINDING_COLUMNS, *(side for side in SIDES if side in rows)]]


def write_nodule_table(table: pd.DataFrame, path: Path) -> None:
    """Write the table of nodules."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
