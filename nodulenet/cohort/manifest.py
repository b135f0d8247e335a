"""The manifest: every scan of the table with its artefacts and counts, or why it was left out."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.cohort.sources import ROWS, count_sources
from nodulenet.files import InputError, own_artefact, read_json, replacing
from nodulenet.numerals import COUNT
from nodulenet.progress import track
from nodulenet.scan_table import read_text_table
from nodulenet.settings import Source

ARTEFACTS = {
    "volume": "volumes/{}.npy",
    "mask": "volumes/{}_mask.npy",
    "record": "volumes/{}.json",
    "findings": "nodules/{}.csv",
    "nodules": "nodules/{}.npz",
}
COUNTS = ("n_nodules", "n_kept", "n_below_level", "n_small", "n_non_nodule", *ROWS)
SHAPE = ("depth", "height", "width")
NOTES = ("lost", "warnings", "digest")
COLUMNS = (
    *("series_uid", "patient_id", "status", "annotations"),
    *(*ARTEFACTS, *COUNTS, *SHAPE, *NOTES),
)


def gather_manifest(
    scans: pd.DataFrame, folder: Path | str, source: Source = "xml"
) -> pd.DataFrame:
    """One row for every scan of the scan table, from the artefacts below `folder`.

    `status` is `ok`, or the reason why the scan was left out; then its counts and its shape
    (voxels of the 1 mm grid) are 0. `n_nodules` counts consensus nodules, `n_kept` those that
    are in the volume; `lost` names the others; `warnings` says what is doubtful about the scan.
    Paths are relative to `folder`, but for `annotations`. source: what the scan table's
    annotations are, see `count_sources`. Raises `InputError` when the rows do not account for
    every scan of the table, or a table of nodules has rows and none of them is of its scans.
    """
    folder = Path(folder)
    listed = zip(scans["series_uid"], scans["patient_id"], strict=True)
    rows = [
        gather_scan(series, patient, folder)
        for series, patient in track(listed, "gather the manifest", "scans", len(scans))
    ]
    manifest = pd.DataFrame(rows, columns=list(COLUMNS))
    ok, left_out = count_scans(manifest)
    if sorted(manifest["series_uid"]) != sorted(scans["series_uid"]) or ok + left_out != len(scans):
        raise InputError(
            f"{folder}: {len(scans)} scans in, but {ok} ok and {left_out} left out in the manifest"
        )
    told = count_sources(scans, manifest["status"] == "ok", source)
    manifest[list(told.columns)] = told
    return manifest


def count_scans(manifest: pd.DataFrame) -> tuple[int, int]:
    """Numbers of scans that are ok and that were left out with a reason."""
    ok = int((manifest["status"] == "ok").sum())
    return ok, int(((manifest["status"] != "ok") & (manifest["status"] != "")).sum())


def gather_scan(series_uid: str, patient_id: str, folder: Path) -> dict[str, Any]:
    """The manifest's row of one scan."""
    paths = {name: pattern.format(series_uid) for name, pattern in ARTEFACTS.items()}
    path = folder / paths["record"]
    record = read_json(path)
    row: dict[str, Any] = {"series_uid": series_uid, "patient_id": patient_id, **paths}
    row |= dict.fromkeys((*COUNTS, *SHAPE), 0)
    with own_artefact(path):
        row |= {"status": record["status"], **dict.fromkeys(NOTES, "")}
        if record["status"] != "ok":
            return row
        row |= count_painted(record)
    kinds = count_kinds(folder / paths["findings"])
    row["n_nodules"] = kinds["nodule"]
    for kind in ("below_level", "small", "non_nodule"):
        row[f"n_{kind}"] = kinds[kind]
    return row


def count_painted(record: dict[str, Any]) -> dict[str, Any]:
    """What the record of a volume says: digest, shape, warnings, and what became of its nodules."""
    painted = record["nodules"]
    lost = [f"nodule {k} {nodule['lost']}" for k, nodule in painted.items() if nodule["lost"]]
    return {
        "digest": record["digest"],
        "n_kept": sum(nodule["voxels"] > 0 for nodule in painted.values()),
        "lost": "; ".join(lost),
        "warnings": "; ".join(record["warnings"]),
        **dict(zip(SHAPE, record["shape"], strict=True)),
    }


def count_kinds(path: Path) -> Counter[str]:
    """How many findings of each kind one scan has. Raises `InputError` naming the file."""
    # A table of pandas for each scan takes five times as long.
    with own_artefact(path), path.open(newline="") as file:
        rows = csv.reader(file)
        column = next(rows, []).index("kind")
        return Counter(row[column] for row in rows)


def write_manifest(manifest: pd.DataFrame, path: Path | str) -> None:
    """Write manifest.tsv."""
    with replacing(path) as temporary:
        manifest.to_csv(temporary, sep="\t", index=False, columns=list(COLUMNS))


def read_manifest(path: Path | str) -> pd.DataFrame:
    """Read manifest.tsv; counts and shape as int, all else as text, paths as they stand
    (relative to the manifest's folder). Raises `CorruptArtefact` naming the file when it is missing
    or damaged.
    """
    with own_artefact(path):
        return _manifest(Path(path))


def _manifest(path: Path) -> pd.DataFrame:
    table = read_text_table(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing")
    if table["series_uid"].duplicated().any():
        raise InputError(f"{path}: a scan is listed more than once")
    if (table["status"] == "").any():
        scan = table[table["status"] == ""].iloc[0]
        raise InputError(f"{path}: scan {scan.series_uid} has no status")
    for name in (*COUNTS, *SHAPE):
        if not table[name].str.fullmatch(COUNT).all():
            raise InputError(f"{path}: column {name} holds something that is not a count")
    return table.astype(dict.fromkeys((*COUNTS, *SHAPE), int))
