"""`nodulenet compare-excluded`: LUNA16's excluded findings compared with the XML files."""

import argparse
import sys
from pathlib import Path

from nodulenet.files import replacing


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "look up LUNA16's excluded findings among the marks of the LIDC-IDRI XML files"
    parser = commands.add_parser("compare-excluded", help=text, description=text)
    parser.add_argument(
        "--scans",
        type=Path,
        required=True,
        metavar="TSV",
        help="scan table of `nodulenet index`; its images give the world positions of the marks",
    )
    parser.add_argument(
        "--excluded",
        type=Path,
        required=True,
        metavar="CSV",
        help="the challenge's list: seriesuid,coordX,coordY,coordZ,diameter_mm",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="TSV",
        help="table to write, one row per finding: found, distance_mm, kind, matched, cause",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from nodulenet.audit.challenge import REACH_MM, compare_excluded

    table, spare = compare_excluded(options.scans, options.excluded)
    with replacing(options.output) as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format="%.9g")
    found = table[table["found"] == 1]
    print(f"{len(table)} rows, {len(found)} found within {REACH_MM:g} mm")
    for kind, count in found["kind"].value_counts().items():
        print(f"found, {kind}: {count}")
    for cause, count in table.loc[table["found"] == 0, "cause"].value_counts().items():
        print(f"not found, {cause}: {count}")
    print(f"excluded findings of these scans without a row: {len(spare)}")
    for mark in spare:
        print(f"without a row: {mark.name}", file=sys.stderr)
