"""`nodulenet compare-excluded`: LUNA16's excluded findings compared with the XML files."""

import argparse
import sys

from nodulenet.commands.options import add_command, add_path, write_tsv


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "look up LUNA16's excluded findings among the marks of the LIDC-IDRI XML files"
    parser = add_command(commands, "compare-excluded", run, text)
    scans = "scan table of `nodulenet index`; its images give the world positions of the marks"
    add_path(parser, "--scans", "TSV", scans)
    excluded = "the challenge's list: seriesuid,coordX,coordY,coordZ,diameter_mm"
    add_path(parser, "--excluded", "CSV", excluded)
    output = "table to write, one row per finding: found, distance_mm, kind, matched, cause"
    add_path(parser, "--output", "TSV", output)


def run(options: argparse.Namespace) -> None:
    from nodulenet.audit.challenge import REACH_MM, compare_excluded

    table, spare = compare_excluded(options.scans, options.excluded)
    write_tsv(table, options.output, "%.9g")
    found = table[table["found"] == 1]
    print(f"{len(table)} rows, {len(found)} found within {REACH_MM:g} mm")
    for kind, count in found["kind"].value_counts().items():
        print(f"found, {kind}: {count}")
    for cause, count in table.loc[table["found"] == 0, "cause"].value_counts().items():
        print(f"not found, {cause}: {count}")
    print(f"excluded findings of these scans without a row: {len(spare)}")
    for mark in spare:
        print(f"without a row: {mark.name}", file=sys.stderr)
