"""Folds for cross-validation: no patient in two folds, nodules distributed evenly."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import read_cells
from nodulenet.files import InputError, examples, own_artefact, replacing
from nodulenet.numerals import COUNT
from nodulenet.scan_table import NO_FOLD, TRAIN

log = logging.getLogger(__name__)

COLUMNS = ("series_uid", "patient_id", "fold")


def split_folds(
    manifest: pd.DataFrame,
    number: int,
    seed: int,
    fixed: dict[str, int] | None = None,
    *,
    trained: bool = True,
) -> pd.DataFrame:
    """Assign every `ok` scan of `manifest` to a fold in 0 .. number - 1.

    Patients in descending order of nodule count, ties in a seeded random order, go to the fold with
    the fewest nodules so far (for a patient without nodules, the fewest scans). `fixed`
    (series -> fold) is used unchanged instead, after the same checks; every network is trained on a
    scan in `NO_FOLD`. A single fold holds every other scan, whatever its number in `fixed`, and
    those too if nothing is trained. trained: whether a network is trained for any fold. Returns
    series_uid, patient_id, fold in the manifest's order. Raises `InputError` if a fold is empty, a
    patient is in two folds, or a fold leaves no nodule to train on.
    """
    scans = manifest[manifest["status"] == "ok"]
    if fixed is None:
        patients = assign_patients(scans, number, seed)
        folds = scans["patient_id"].map(patients)
    else:
        folds = scans["series_uid"].map(fixed)
        if number == 1 and trained:
            folds = folds.clip(upper=0)
        elif number == 1:
            if own := int((folds == NO_FOLD).sum()):
                log.warning("nothing is trained: %d scans of fold `%s` are tested too", own, TRAIN)
            folds = folds * 0
    table = scans[["series_uid", "patient_id"]].assign(fold=folds.astype(int))
    check_folds(table, scans["n_kept"], number, trained)
    return table.reset_index(drop=True)


def assign_patients(scans: pd.DataFrame, number: int, seed: int) -> dict[str, int]:
    """patient -> fold, greedily in descending order of nodule count."""
    patients = scans.groupby("patient_id")["n_kept"].agg(["sum", "size"])
    patients = patients.iloc[np.random.default_rng(seed).permutation(len(patients))]
    patients = patients.sort_values(["sum", "size"], ascending=False, kind="stable")
    nodules, sizes = np.zeros(number, int), np.zeros(number, int)
    chosen: dict[str, int] = {}
    for patient, found, size in patients.itertuples():
        order = (sizes, nodules) if found else (nodules, sizes)
        fold = int(np.lexsort(order)[0])
        chosen[str(patient)] = fold
        nodules[fold] += found
        sizes[fold] += size
    return chosen


def check_folds(table: pd.DataFrame, nodules: pd.Series, number: int, trained: bool) -> None:
    """Raise `InputError` unless networks can be tested, and trained if any are, on the folds."""
    folds = table.groupby("patient_id")["fold"].nunique()
    if (folds > 1).any():
        raise InputError(f"folds: patient {folds.idxmax()} is in more than one fold")
    beyond = table[(table["fold"] < NO_FOLD) | (table["fold"] >= number)]
    if len(beyond):
        scan = beyond.iloc[0]
        raise InputError(
            f"folds: scan {scan.series_uid} is in fold {scan.fold}, beyond the {number} folds "
            f"0 to {number - 1} of folds.number"
        )
    for fold in range(number):
        inside = table["fold"] == fold
        if not inside.any():
            if number == 1:
                raise InputError(f"folds: no scan is left to test on: all are of fold `{TRAIN}`")
            raise InputError(
                f"folds: fold {fold} has no scan: {table['patient_id'].nunique()} patients do "
                f"not fill {number} folds"
            )
        if trained and nodules[~inside].sum() == 0:
            hint = f"; scans of fold `{TRAIN}` are trained on" if number == 1 else ""
            raise InputError(f"folds: outside fold {fold} there is no nodule to train on{hint}")


def write_folds(table: pd.DataFrame, path: Path | str) -> None:
    """Write folds.tsv, with `train` for scans in no fold."""
    table = table.assign(fold=table["fold"].astype(str).replace(str(NO_FOLD), TRAIN))
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, columns=list(COLUMNS))


def read_folds(path: Path | str) -> pd.DataFrame:
    """Read folds.tsv (series_uid, patient_id, fold as int, `NO_FOLD` for `train`).

    Raises `CorruptArtefact` naming the file if it is missing or damaged.
    """
    with own_artefact(path):
        table = read_cells(path, COLUMNS, "\t").reset_index(drop=True)
        bad = table[~table["fold"].str.fullmatch(COUNT) & (table["fold"] != TRAIN)]
        if len(bad):
            raise InputError(f"{path}: scan {bad.iloc[0].series_uid}: fold is not a number")
        table["fold"] = table["fold"].replace(TRAIN, str(NO_FOLD))
        return table[list(COLUMNS)].astype({"fold": int})


def read_fold_list(path: Path | str) -> dict[str, int]:
    """series -> fold from a CSV with the columns `seriesuid` and `subset` or `fold`.

    A folds.tsv works as well if every scan has a fold. Raises `InputError` naming the file and the
    fault, such as folds that are not numbered from 0 without gaps.
    """
    delimiter = "\t" if Path(path).suffix.lower() == ".tsv" else ","
    table = read_cells(path, delimiter=delimiter)
    series, fold = (
        next((name for name in names if name in table), None)
        for names in (("seriesuid", "series_uid"), ("subset", "fold"))
    )
    if series is None or fold is None:
        raise InputError(f"{path}: needs the columns seriesuid and subset (or fold)")
    for line, cell in table[fold].items():
        if not COUNT.fullmatch(cell):
            raise InputError(f"{path}: line {line}: {fold} is not a number: {cell!r}")
    doubled = table[series][table[series].duplicated()]
    if len(doubled):
        raise InputError(f"{path}: scan {doubled.iloc[0]} is listed more than once")
    numbers = sorted(set(table[fold].astype(int)))
    if numbers != list(range(len(numbers))):
        raise InputError(f"{path}: the folds are {numbers}, not 0 to {len(numbers) - 1}")
    return dict(zip(table[series], table[fold].astype(int), strict=True))


def folds_of(folds: Mapping[str, int], scans: Sequence[str], path: Path) -> dict[str, int]:
    """Fold of each of the scans; other scans are ignored.

    Raises `InputError` naming the file `path` of the folds, with examples of both, if it lacks a
    scan.
    """
    missing = [scan for scan in scans if scan not in folds]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} scan(s) have no fold: {examples(missing)}; "
            f"it has {examples(list(folds))}"
        )
    return {scan: folds[scan] for scan in scans}
