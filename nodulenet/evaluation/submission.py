"""FROC of files in LUNA16's own formats: what `nodulenet froc` does."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.annotations.challenge_csv import MARK_COLUMNS, read_table
from nodulenet.cohort.folds import folds_of, read_fold_list
from nodulenet.evaluation.bootstrap import paired_bootstrap
from nodulenet.evaluation.results import FrocFile, read_froc, summarize_difference
from nodulenet.evaluation.stage import Scored, score, write_scored
from nodulenet.evaluation.tables import Origin, hash_files, scan_positions, unmarked
from nodulenet.evaluation.truth import ALL, LUNA16, read_luna16
from nodulenet.files import InputError, examples, write_json
from nodulenet.settings import FrocSettings

SUBMISSION, AGAINST = "submission", "against"


@dataclass(frozen=True)
class Submission:
    """Files of a submission; any may be compressed.

    annotations, excluded, scans: as for `read_luna16`; predictions: the same columns with
    probability for the diameter. folds: CSV with seriesuid and subset (or fold), to also score each
    fold separately. against: another submission over the same scans, scored as well, with the
    paired difference.
    """

    annotations: Path
    excluded: Path
    scans: Path
    predictions: Path
    folds: Path | None = None
    against: Path | None = None


def score_submission(
    files: Submission,
    output: Path,
    settings: FrocSettings | None = None,
    allow_missing: bool = True,
) -> FrocFile:
    """Score a LUNA16 submission, and write froc.json, froc.csv, nodules.csv, false_positives.csv
    and scans.csv into the folder `output`.

    settings: readout and bootstrap count. Returns the content of froc.json. Raises `InputError` for
    a file in another format, for series that the list of scans lacks, and without `allow_missing`
    for listed scans without a mark.
    """
    settings = settings or FrocSettings()
    truth = read_luna16(files.annotations, files.excluded, files.scans)
    if files.folds:
        fold_of = folds_of(read_fold_list(files.folds), truth.scans, files.folds)
        truth = replace(truth, folds=fold_of)
    paths = {SUBMISSION: files.predictions} | ({AGAINST: files.against} if files.against else {})
    marks = {name: read_marks(path, truth.scans, allow_missing) for name, path in paths.items()}
    scored = {name: score(name, truth, table, settings) for name, table in marks.items()}
    options: dict[str, Any] = {"readout": settings.readout, "bootstrap": settings.bootstrap}
    inputs = [files.annotations, files.excluded, files.scans, *paths.values()]
    inputs += [files.folds] if files.folds else []
    digest = hash_files(inputs, options | {"folds": files.folds is not None})
    origin = Origin("given", None, digest, LUNA16)
    content = {"protocol": LUNA16, "denominator": ALL} | options
    content |= {"stamp": asdict(scored[SUBMISSION].stamp(origin))}
    names = dict(zip(paths, distinct_names(list(paths.values())), strict=True))
    parts = {name: _plain(one, names[name]) for name, one in scored.items()}
    content |= parts[SUBMISSION]
    if files.against:
        pair = (scored[SUBMISSION].froc, scored[AGAINST].froc)
        difference = paired_bootstrap(*pair, settings.bootstrap)
        content[AGAINST] = parts[AGAINST] | {"difference": summarize_difference(difference)}
    write_scored(list(scored.values()), origin, output)
    write_json(output / "froc.json", content)
    return read_froc(output / "froc.json")


def read_marks(path: Path, scans: Sequence[str], allow_missing: bool = True) -> pd.DataFrame:
    """A submission's marks. Raises `InputError`, see `score_submission`."""
    table = read_table(path, MARK_COLUMNS)
    scan_positions(table, scans, str(path))
    missing = [] if allow_missing else unmarked(table, scans)
    if missing:
        raise InputError(f"{path}: {len(missing)} scan(s) have no mark: {examples(missing)}")
    return table


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The files' names, with as many of their folders as make them differ."""
    longest = max(len(path.parts) for path in paths)
    for length in range(1, longest + 1):
        names = [Path(*path.parts[-length:]).as_posix() for path in paths]
        if len(set(names)) == len(paths):
            return names
    return [path.name for path in paths]


def _plain(scored: Scored, name: str) -> dict[str, Any]:
    """What froc.json says of one submission."""
    missing = len(unmarked(scored.marks, scored.truth.scans))
    return scored.summary.plain() | {"predictions": name, "scans_without_marks": missing}
