"""`nodulenet import-weights`: convert a published checkpoint into a weights file."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "convert a checkpoint of the published NoduleNet implementation into a weights file"
    parser = commands.add_parser("import-weights", help=text, description=text)
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help="checkpoint, a torch file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PT", help="weights file to write"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from nodulenet.model.released import UNUSED, import_weights

    provenance = import_weights(options.checkpoint, options.output)
    print(
        f"{options.output}: the network of {options.checkpoint} after {provenance.epochs} epochs;"
        f" {len(UNUSED)} tensors that it does not use were omitted"
    )
