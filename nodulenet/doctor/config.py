"""Whether the files that the config names are there."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodulenet.doctor.finding import Finding, State, install
from nodulenet.files import InputError
from nodulenet.progress import track

MADE = "results/demo/source"
"""The workflow makes the files of a scan table that are below this folder."""

CHALLENGE = ("annotations.csv", "annotations_excluded.csv", "seriesuids.csv")
NAMED = 10  # series; more are counted
KINDS = ("ct", "annotations", "lung_mask")


@dataclass(frozen=True)
class Table:
    """What the scan table says: its scans, and whether the workflow makes any of its files."""

    scans: int
    made: bool


def section(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of the config; empty where it is none (Snakemake says what is wrong then)."""
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def check_table(config: dict[str, Any]) -> tuple[list[Finding], Table]:
    """Whether the scan table can be read and its files exist."""
    path, nothing = config.get("scans"), Table(0, False)
    if not isinstance(path, str):
        return [Finding("missing", "scan table", "name it in the config: scans")], nothing
    if not Path(path).exists():
        text = f"{path} does not exist: write it with `nodulenet index`, or name another as scans"
        return [Finding("missing", "scan table", text)], nothing
    try:
        from nodulenet.cohort import read_scan_table

        table = read_scan_table(path)
    except ImportError as error:
        return [Finding("missing", "scan table", f"not read: {error}: {install()}")], nothing
    except InputError as error:
        return [Finding("missing", "scan table", f"{error}: mend the table")], nothing
    files = [(kind, file) for kind in KINDS for file in table[kind] if file]
    made = [file for _, file in files if os.path.relpath(file).startswith(MADE)]
    there = [pair for pair in files if pair[1] not in made]
    dicom = [pair for pair in zip(table["series_uid"], table["ct"], strict=True)
             if Path(pair[1]).is_dir()]  # fmt: skip
    skip = config.get("on_bad_scan") == "skip"
    findings = [
        *check_files(path, there),
        *check_images(path, there),
        *check_series(path, dicom, skip),
    ]
    own = f", {len(made)} files that the workflow makes" if made else ""
    return findings or [Finding("ok", "scan table", f"{path}, {len(table)} scans{own}")], Table(
        len(table), bool(made)
    )


def check_files(table: str, files: Sequence[tuple[str, str]]) -> list[Finding]:
    """A finding for each column of the scan table of which files are missing."""
    findings = []
    for kind in KINDS:
        named = [file for column, file in files if column == kind]
        gone = [file for file in named if not Path(file).exists()]
        if gone:
            text = (
                f"{table}: {len(gone)} of {len(named)} files of column {kind} do not exist,"
                f" first {gone[0]}: put them there, or run `nodulenet index` again"
            )
            findings.append(Finding("missing", "scan table", text))
    return findings


def check_images(table: str, files: Sequence[tuple[str, str]]) -> list[Finding]:
    """A finding if image files of the scan table are cut short or lack their data file.

    By header and size alone: what is compressed is not looked into.
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
    text = f"{table}: {len(faults)} images are not whole, first {faults[0]}: copy them anew"
    return [Finding("missing", "scan table", text)]


def check_series(table: str, series: Sequence[tuple[str, str]], skip: bool) -> list[Finding]:
    """A finding for each DICOM series (UID, folder) whose slices make no volume, by their headers.

    skip: the run leaves bad scans out.
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
    what = (
        "on_bad_scan: skip leaves it out"
        if skip
        else "mend it, delete its row, or set on_bad_scan: skip"
    )
    state: State = "optional" if skip else "missing"
    found = [Finding(state, "DICOM series", f"{fault}: {what}") for fault in faults[:NAMED]]
    if more := len(faults) - len(found):
        found.append(Finding(state, "DICOM series", f"{table}: {more} more are refused: {what}"))
    return found


def check_challenge(config: dict[str, Any]) -> list[Finding]:
    """Whether LUNA16's tables are where `froc.luna16` says, if the protocol needs them."""
    froc = section(config, "froc")
    if froc.get("protocol") != "luna16":
        return []
    if not isinstance(folder := froc.get("luna16"), str):
        text = f"name in the config the folder with {', '.join(CHALLENGE)}"
        return [Finding("missing", "froc.luna16", text)]
    wanted = {Path(folder) / name: (Path(folder) / f"{name}.gz") for name in CHALLENGE}
    gone = [str(path) for path, packed in wanted.items() if not (path.exists() or packed.exists())]
    if gone:
        text = f"{', '.join(gone)} not there: download the challenge's evaluation script and lists"
        return [Finding("missing", "froc.luna16", text)]
    return [Finding("ok", "froc.luna16", f"{folder}, {len(CHALLENGE)} tables")]


def check_weights(config: dict[str, Any]) -> list[Finding]:
    """Whether the weights that the config gives in place of a training are there."""
    weights = section(config, "weights")
    files = {
        f"weights.{stage}.{fold}": str(path)
        for stage in weights
        for fold, path in section(weights, stage).items()
    }
    gone = [
        Finding("missing", key, f"{path} does not exist: put it there, or leave the key out")
        for key, path in files.items()
        if not Path(path).is_file()
    ]
    whole = [Finding("ok", "weights", f"{len(files)} files")] if files else []
    return gone or whole
