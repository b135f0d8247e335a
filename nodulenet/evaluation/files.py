"""FROC of files in LUNA16's own formats: `nodulenet froc`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.cohort.folds import folds_of, read_fold_list
from nodulenet.evaluation.bootstrap import paired_bootstrap
from nodulenet.evaluation.froc import Readout
from nodulenet.evaluation.luna16 import read_luna16, read_table
from nodulenet.evaluation.scoring import Scored, score, stamp_scored, write_scored
from nodulenet.evaluation.stamp import GIVEN, hash_files
from nodulenet.evaluation.summary import summarize_difference
from nodulenet.evaluation.tables import (
    MARK_COLUMNS,
    check_marked,
    scan_positions,
    unmarked,
)
from nodulenet.evaluation.truth import ALL, LUNA16, Truth
from nodulenet.files import write_json

SUBMISSION, AGAINST = "submission", "against"


def froc_files(
    annotations: Path,
    excluded: Path,
    scans: Path,
    predictions: Path,
    output: Path,
    readout: Readout = "challenge",
    samples: int = 1000,
    folds: Path | None = None,
    against: Path | None = None,
    allow_missing: bool = True,
) -> dict[str, Any]:
    """Score a LUNA16 submission; write froc.json, froc.csv, nodules.csv, false_positives.csv.

    Returns the content of froc.json.

    annotations, excluded, scans: as `read_luna16` takes them; predictions, against: the same
    columns with probability for the diameter; any may be compressed. folds: CSV with
    seriesuid and subset (or fold) to score each by itself too. against: another submission over
    the same scans, scored beside the first and by the paired difference. Raises `InputError` for
    a file that is not so, for series that the list of scans lacks, and without `allow_missing`
    for listed scans without any mark.
    """
    official = read_luna16(annotations, excluded, scans)
    fold_of = folds_of(read_fold_list(folds), official.scans, folds) if folds else None
    truth = Truth(ALL, official.scans, fold_of, official.nodules, official.excluded)
    settings: dict[str, Any] = {"readout": readout, "bootstrap": samples}
    paths = {SUBMISSION: predictions} | ({AGAINST: against} if against else {})
    marks = {name: read_marks(path, truth.scans, allow_missing) for name, path in paths.items()}
    scored = {name: score(name, truth, table, settings) for name, table in marks.items()}
    files = [annotations, excluded, scans, *paths.values(), *([folds] if folds else [])]
    digest = hash_files(files, settings | {"folds": folds is not None})
    origin = {"protocol": LUNA16, "config": digest} | GIVEN
    content = {"protocol": LUNA16, "denominator": ALL} | settings
    content |= {"stamp": stamp_scored(scored[SUBMISSION], origin).plain()}
    names = dict(zip(paths, told_apart(list(paths.values())), strict=True))
    parts = {name: _summary(one, names[name]) for name, one in scored.items()}
    content |= parts[SUBMISSION]
    if against:
        difference = paired_bootstrap(scored[SUBMISSION].froc, scored[AGAINST].froc, samples)
        parts[AGAINST]["difference"] = summarize_difference(difference)
        content[AGAINST] = parts[AGAINST]
    write_scored(list(scored.values()), origin, output)
    write_json(output / "froc.json", content)
    return content


def read_marks(path: Path, scans: Sequence[str], allow_missing: bool = True) -> pd.DataFrame:
    """A submission's marks. Raises `InputError`, see `froc_files`."""
    table = read_table(path, MARK_COLUMNS)
    scan_positions(table, scans, str(path))
    if not allow_missing:
        check_marked(table, scans, str(path))
    return table


def told_apart(paths: Sequence[Path]) -> list[str]:
    """The files' names, with as many of their folders as make them differ."""
    longest = max(len(path.parts) for path in paths)
    for length in range(1, longest + 1):
        names = [Path(*path.parts[-length:]).as_posix() for path in paths]
        if len(set(names)) == len(paths):
            return names
    return [path.name for path in paths]


def _summary(scored: Scored, name: str) -> dict[str, Any]:
    """What froc.json says of one submission."""
    unmarked_scans = len(unmarked(scored.marks, scored.truth.scans))
    return scored.summary | {"predictions": name, "scans_without_marks": unmarked_scans}
