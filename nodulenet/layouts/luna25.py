"""LUNA25: positions of nodules without a size, in CTs named by their series."""

import re
from collections.abc import Sequence
from pathlib import Path

from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.cohort.index import Index
from nodulenet.files import InputError
from nodulenet.layouts.common import (
    Cohort,
    Request,
    left_over,
    list_files,
    open_images,
    plural,
    refusal,
    require_scans,
    table_of_rows,
    the_file,
    without_copies,
)
from nodulenet.layouts.positions import listed_scans, listed_table, place_rows
from nodulenet.layouts.tables import read_csv, without_doubles

CT = re.compile(r"([0-9]+(?:\.[0-9]+)+)\.mha", re.I)
NODULES = "LUNA25_Public_Training_Development_Data.csv"
COLUMNS = ("PatientID", "SeriesInstanceUID", "CoordX", "CoordY", "CoordZ", "AnnotationID")
CONFIG = (
    "annotations: table",
    "train: {evaluate: [dfps_only, ncs_only]}   # the branch sr needs outlines",
)


def luna25_cohort(request: Request) -> Cohort:
    """LUNA25 in a folder: CTs `{series}.mha` and the table of its nodules, all of unknown size."""
    files = list_files(request.root)
    cts, copies = without_copies(named_by_series(files))
    if not cts:
        raise refusal(request.root, "CT named {SeriesInstanceUID}.mha", files)
    path = the_file(files, {NODULES.lower()}, request.root, f"table {NODULES}")
    images, faulty = open_images("luna25", cts)
    for uid, image in images.items():
        if image.uid != uid and image.header.series_uid:
            raise InputError(f"{image.path}: its header names another series, {image.uid}")
    images = {uid: image._replace(uid=uid) for uid, image in images.items()}
    rows, notes = without_doubles(read_csv(path, COLUMNS), path)
    rows = rows.set_axis(["patient", "name", *POSITION, "nodule"], axis=1)
    placed = place_rows(rows, images, path, request)
    patients = dict(zip(rows["name"], rows["patient"], strict=True))
    table = table_of_rows(listed_scans(placed, images, patients, request))
    passed = copies + faulty + placed.passed
    require_scans(table, request.root, "scan of LUNA25 with usable positions", passed)
    nodules = listed_table(placed, images)
    counts = f"{plural(len(table), 'scan')}, {plural(len(nodules), 'nodule')} of unknown size"
    passed = left_over(files, [*cts.values(), path], passed, "LUNA25")
    return Cohort(Index(table, passed, notes + placed.notes), counts, CONFIG, nodules)


def named_by_series(files: Sequence[Path]) -> list[tuple[str, Path]]:
    """The CTs with the series in their names."""
    found = [(CT.fullmatch(path.name), path) for path in files]
    return [(match[1], path) for match, path in found if match]
