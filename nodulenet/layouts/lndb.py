"""LNDb: one mask per reader, whose labels are the numbers of that reader's findings.

Where the files lie below the root does not matter, only their names: the CTs come in `data0` to
`data5`, the tables in `trainset_csv`. `trainNodules_gt.csv` says which findings are one nodule, or
none; `trainNodules.csv`, where it is there, what each reader said.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from nodulenet.cohort.index import NO_CT, Index, Passed
from nodulenet.layouts.common import (
    NO_ANNOTATIONS,
    Cohort,
    Image,
    Request,
    left_over,
    list_files,
    open_images,
    plural,
    refusal,
    require_scans,
    rows_without_ct,
    table_of_rows,
    the_file,
    usable_masks,
    with_folds,
    without_copies,
)
from nodulenet.layouts.lndb_tables import (
    FOLDS,
    MERGED,
    OWN,
    Findings,
    LndbFinding,
    name_of,
    read_lndb_findings,
    read_train_folds,
)
from nodulenet.scan_table import NO_LABEL, SEPARATOR

CT = re.compile(r"LNDb-0*([0-9]+)\.mhd", re.I)
MASK = re.compile(r"LNDb-0*([0-9]+)_rad0*([0-9]+)\.mhd", re.I)
CONFIG: tuple[str, ...] = (
    "annotations: masks",
    "consensus: {level: 1}   # 2: of two readers or more; a scan with one reader then has none",
)


def lndb_cohort(request: Request) -> Cohort:
    """LNDb in a folder, scans with a mask alone: those of its test set have none."""
    files = list_files(request.root)
    cts, passed = without_copies(named_by(files, CT))
    masks, copies = without_copies(named_by(files, MASK))
    if not cts or not masks:
        what = "LNDb-NNNN.mhd" if not cts else "LNDb-NNNN_radK.mhd"
        raise refusal(request.root, f"file {what}", files)
    path = the_file(files, {MERGED.lower()}, request.root, f"table {MERGED}")
    findings = read_lndb_findings(path, own_table(files, request.root))
    images, faulty = open_images("lndb", cts)
    drawn, odd = usable_masks(masks)
    passed += copies + faulty + odd + rows_without_ct(path, findings.rows, images)
    rows, unmatched = match_findings(images, drawn, findings, path)
    passed += unmatched
    table = table_of_rows(rows)
    require_scans(table, request.root, "scan of LNDb with a usable mask", passed)
    used = [*cts.values(), *masks.values(), path]
    folds = [name for name in files if name.name.lower() == FOLDS.lower()]
    notes, config = findings.notes, CONFIG
    if folds:
        fixed = read_train_folds(folds[0])
        known = dict(zip(table["patient_id"], table["series_uid"], strict=True))
        series = {known[scan]: fold for scan, fold in fixed.items() if scan in known}
        table, told, line = with_folds(table, series, folds[0])
        notes, config, used = notes + told, config + line, [*used, folds[0]]
    used += [name for name in files if name.name.lower() == OWN.lower()]
    return Cohort(
        Index(table, left_over(files, used, passed, "LNDb"), notes),
        counted(table, findings),
        config,
    )


def named_by(files: Sequence[Path], pattern: re.Pattern[str]) -> list[tuple[str, Path]]:
    """The files whose names match, each with its name without suffix and with four digits."""
    found = []
    for path in files:
        if match := pattern.fullmatch(path.name):
            scan, *reader = match.groups()
            found.append((name_of(scan, *reader), path))
    return found


def own_table(files: Sequence[Path], root: Path) -> Path | None:
    """The table of what each reader said, if it is there."""
    if not any(path.name.lower() == OWN.lower() for path in files):
        return None
    return the_file(files, {OWN.lower()}, root, OWN)


def match_findings(
    images: Mapping[str, Image], drawn: Mapping[str, Path], findings: Findings, path: Path
) -> tuple[list[dict[str, str]], Passed]:
    """The rows of the scan table, and what belongs to nothing."""
    masks: dict[str, list[str]] = defaultdict(list)
    passed: Passed = []
    for name, mask in sorted(drawn.items()):
        scan = name.partition("_")[0]
        masks[scan].append(name)
        if scan not in images:
            passed.append((mask, f"{NO_CT}: {scan}"))
    missing = {finding.mask for finding in findings.nodule if finding.scan in images} - {*drawn}
    passed += [(path, f"no mask of its reader: {name}") for name in sorted(missing)]
    rows, chosen = [], labels_of(findings.nodule)
    for scan, image in images.items():
        if scan not in masks:
            passed.append((image.path, f"{NO_ANNOTATIONS}: {scan}"))
            continue
        files = [str(drawn[name]) for name in masks[scan]]
        labels = [",".join(map(str, sorted(chosen[name]))) or NO_LABEL for name in masks[scan]]
        row = {"series_uid": image.uid, "patient_id": scan, "ct": str(image.path)}
        row |= {"annotations": SEPARATOR.join(files), "lung_mask": ""}
        rows.append(row | {"labels": SEPARATOR.join(labels)})
    return rows, passed


def labels_of(nodule: Mapping[LndbFinding, bool]) -> dict[str, list[int]]:
    """The labels of each mask that are nodules."""
    labels: dict[str, list[int]] = defaultdict(list)
    for finding, wanted in nodule.items():
        if wanted:
            labels[finding.mask].append(finding.label)
    return labels


def counted(table: pd.DataFrame, findings: Findings) -> str:
    """The line of counts."""
    masks = table["annotations"].str.split(SEPARATOR).map(len)
    nodules = sum(findings.nodules.get(scan, 0) for scan in table["patient_id"])
    several = int((masks > 1).sum())
    return (
        f"{plural(len(table), 'scan')}, {several} with several readers ({masks.sum()} masks),"
        f" {plural(nodules, 'nodule')}"
    )
