"""Checks of the files that the config names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nodulenet.doctor.finding import Check, State, install
from nodulenet.files import InputError
from nodulenet.progress import track
from nodulenet.scan_table import (
    PATHS,
    Row,
    files_of,
    is_made,
    kind_of,
    missing_files,
    read_scans,
)

if TYPE_CHECKING:
    from nodulenet.settings import Settings  # the doctor must run without pydantic

NAMED = 10  # series; the rest are counted


@dataclass(frozen=True)
class Table:
    """The number of scans in the scan table, and whether the workflow makes any of its files."""

    scans: int
    made: bool


def check_table(settings: "Settings") -> tuple[list[Check], Table]:
    """Whether the scan table can be read and its files exist."""
    path = settings.scans
    if not Path(path).exists():
        text = f"{path} does not exist: write it with `nodulenet index`, or name another as scans"
        return [Check("missing", "scan table", text)], Table(0, False)
    try:
        scans = read_scans(path)
    except InputError as error:
        return [Check("missing", "scan table", f"{error}: correct the table")], Table(0, False)
    files = [(kind, file) for scan in scans for kind in PATHS for file in files_of(scan, kind)]
    there = [pair for pair in files if not is_made(pair[1])]
    made = len(files) - len(there)
    skip = settings.on_bad_scan == "skip"
    dicom = [(scan["series_uid"], scan["ct"]) for scan in scans if Path(scan["ct"]).is_dir()]
    try:
        findings = [
            *check_files(path, scans),
            *check_images(path, there),
            *check_series(path, dicom, skip),
            *check_drawn(path, masks_of(scans, settings.annotations), skip),
        ]
    except ImportError as error:
        findings = [Check("missing", "scan table", f"not examined: {error}: {install()}")]
    own = f", {made} files that the workflow makes" if made else ""
    findings = findings or [Check("ok", "scan table", f"{path}, {len(scans)} scans{own}")]
    return findings, Table(len(scans), bool(made))


def check_files(table: str, scans: Sequence[Row]) -> list[Check]:
    """One finding per column of the scan table with missing files."""
    findings = []
    missing = missing_files(scans)
    for kind in PATHS:
        if gone := [path for column, path in missing if column == kind]:
            named = sum(not is_made(file) for scan in scans for file in files_of(scan, kind))
            text = (
                f"{table}: {len(gone)} of {named} files of column {kind} do not exist,"
                f" first {gone[0]}: put them there, or run `nodulenet index` again"
            )
            findings.append(Check("missing", "scan table", text))
    return findings


def check_images(table: str, files: Sequence[tuple[str, str]]) -> list[Check]:
    """A finding if image files of the scan table are truncated or lack their data file.

    Checked by header and size only; compressed data are not read.
    """
    from nodulenet.imaging.readers import check_data

    faults = []
    for kind, file in files:
        if kind != "annotations" and Path(file).is_file():
            try:
                check_data(Path(file), deep=False)
            except InputError as error:
                faults.append(str(error))
    if not faults:
        return []
    text = f"{table}: {len(faults)} images are incomplete, first {faults[0]}: copy them again"
    return [Check("missing", "scan table", text)]


def check_series(table: str, series: Sequence[tuple[str, str]], skip: bool) -> list[Check]:
    """One finding per DICOM series (UID, folder) whose slices form no volume, by their headers.

    skip: the run excludes bad scans.
    """
    if not series:
        return []
    from nodulenet.imaging import read_geometry

    faults = []
    for uid, folder in track(series, "read DICOM headers", "series"):
        try:
            read_geometry(folder, uid)
        except InputError as error:
            faults.append(f"{table}: series {uid} is refused: {error}")
    return refusals("DICOM series", table, faults, skip)


def check_drawn(table: str, masks: Sequence[tuple[str, str]], skip: bool) -> list[Check]:
    """One finding per mask file (series, path) that is refused, by its headers alone.

    skip: the run excludes bad scans.
    """
    there = [(uid, Path(file)) for uid, file in masks if Path(file).is_file()]
    if not there:
        return []
    from nodulenet.imaging.label_maps import check_mask

    faults = []
    for uid, path in track(there, "read headers of masks", "masks"):
        try:
            check_mask(path, uid)
        except InputError as error:
            faults.append(f"{table}: a mask of series {uid} is refused: {error}")
    return refusals("masks", table, faults, skip)


def masks_of(scans: Sequence[Row], source: str) -> list[tuple[str, str]]:
    """Series and path of every mask file of the scan table, where the config has masks read."""
    return [
        (scan["series_uid"], file)
        for scan in scans
        for file in files_of(scan, "annotations")
        if source == "masks" or (source == "mixed" and kind_of(file) == "masks")
    ]


def refusals(name: str, table: str, faults: Sequence[str], skip: bool) -> list[Check]:
    """A finding for each of the first faults, and one that counts the rest."""
    what = (
        "on_bad_scan: skip leaves it out"
        if skip
        else "repair it, delete its row, or set on_bad_scan: skip"
    )
    state: State = "optional" if skip else "missing"
    found = [Check(state, name, f"{fault}: {what}") for fault in faults[:NAMED]]
    if more := len(faults) - len(found):
        found.append(Check(state, name, f"{table}: {more} more are refused: {what}"))
    return found


def check_challenge(settings: "Settings") -> list[Check]:
    """Whether LUNA16's tables are where `froc.luna16` says, if the protocol needs them."""
    from nodulenet.plan import challenge_files

    name = "froc.luna16"
    try:
        tables = challenge_files(settings.froc)
    except InputError as error:
        text = str(error).removeprefix(f"{name}: ")
        advice = "download the challenge's evaluation script and lists, and name their folder"
        return [Check("missing", name, f"{text}: {advice}")]
    found = Check("ok", name, f"{settings.froc.luna16}, {len(tables)} tables")
    return [found] if tables else []


def check_weights(settings: "Settings") -> list[Check]:
    """Whether the weights given in the config exist."""
    from nodulenet.plan import missing_weights

    gone = [
        Check("missing", key, f"{path} does not exist: put it there, or leave the key out")
        for key, path in missing_weights(settings)
    ]
    count = sum(map(len, settings.weights.values()))
    return gone or ([Check("ok", "weights", f"{count} files")] if count else [])
