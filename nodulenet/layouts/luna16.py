"""LUNA16: ten subsets of CTs, the challenge's positions and diameters, and lung masks."""

import re
from pathlib import Path

from nodulenet.annotations import count_listed
from nodulenet.cohort.index import Index, index_folders
from nodulenet.layouts.common import (
    Cohort,
    Request,
    list_files,
    plural,
    refusal,
    require_scans,
    the_file,
    with_folds,
)

SUBSET = re.compile(r"subset([0-9])", re.I)
NODULES = "annotations.csv"
LUNGS = "seg-lungs-luna16"
TABLES = re.compile(r"(annotations|annotations_excluded|candidates|candidates_v2|seriesuids)\.csv")
CONFIG = (
    "annotations: table",
    "train: {evaluate: [dfps_only, ncs_only]}   # the branch sr needs outlines",
)


def luna16_cohort(request: Request) -> Cohort:
    """LUNA16 in a folder: its subsets are the folds."""
    files = list_files(request.root)
    path = the_file(files, {NODULES}, request.root, f"table {NODULES}")
    if not any(subset_of(file) is not None for file in files):
        raise refusal(request.root, "folder subset0 to subset9", files)
    lungs = request.lung_masks or lungs_of(files)
    table, passed, notes = index_folders(request.root, path, lungs)
    passed = [one for one in passed if not is_table(*one)]
    require_scans(table, request.root, "CT in subset0 to subset9", passed)
    outside = [Path(ct) for ct in table["ct"] if subset_of(Path(ct)) is None]
    passed += [(ct, "in no folder subset0 to subset9") for ct in outside]
    table = table[~table["ct"].isin([str(ct) for ct in outside])].reset_index(drop=True)
    folds = {
        uid: subset_of(Path(ct)) or 0
        for uid, ct in zip(table["series_uid"], table["ct"], strict=True)
    }
    missing = sorted({*range(10)} - {*folds.values()})
    if missing:
        folds = {uid: sorted({*folds.values()}).index(fold) for uid, fold in folds.items()}
        named = ", ".join(f"subset{number}" for number in missing)
        notes.append(f"{request.root}: without {named}: the other subsets are numbered from 0")
    table, moved, line = with_folds(table, folds, request.root)
    rows = count_listed(path)
    nodules = sum(rows.get(uid, 0) for uid in table["series_uid"])
    masks = int((table["lung_mask"] != "").sum())
    counts = f"{plural(len(table), 'scan')}, {masks} lung masks, {plural(nodules, 'nodule')}"
    return Cohort(Index(table, passed, notes + moved), counts, CONFIG + line)


def subset_of(path: Path) -> int | None:
    """The number of the subset that a file lies in; None for other files."""
    found = [SUBSET.fullmatch(part) for part in path.parent.parts]
    return next((int(match[1]) for match in reversed(found) if match), None)


def lungs_of(files: list[Path]) -> Path | None:
    """The folder of the lung masks, if it is there."""
    return next((file.parent for file in files if file.parent.name.lower() == LUNGS), None)


def is_table(path: Path, reason: str) -> bool:
    """Whether a file was passed over because it is no image, but is a table of the challenge."""
    return bool(TABLES.fullmatch(path.name.lower())) and "no CT" not in reason
