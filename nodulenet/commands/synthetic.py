"""`nodulenet synthetic`: write the scan table of a cohort of synthetic scans."""

import argparse

from nodulenet.commands.options import add_command, add_path, count
from nodulenet.files import InputError


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "write a scan table of synthetic scans, which the workflow renders"
    parser = add_command(commands, "synthetic", run, text)
    parser.add_argument(
        "--training", type=count, required=True, metavar="N", help="scans to train on"
    )
    parser.add_argument(
        "--held-out",
        type=count,
        required=True,
        metavar="N",
        help="scans to test on, with nodules of other patients",
    )
    add_path(parser, "--output", "TSV", "scan table to write")


def run(options: argparse.Namespace) -> None:
    import pandas as pd

    from nodulenet.cohort.index import write_scan_table
    from nodulenet.phantom.table import synthetic_scans

    if min(options.training, options.held_out) < 1:
        raise InputError(f"{options.output}: not written: it needs scans to train and to test on")
    scans = synthetic_scans(options.training, options.held_out)
    write_scan_table(pd.DataFrame(scans), options.output)
    print(f"{options.output}: {len(scans)} scans")
