"""`nodulenet schema`: the config's JSON schema, for editors."""

import argparse
import json
from typing import Any


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser of `nodulenet`."""
    text = "print the JSON schema of the config, with which editors complete and check keys"
    parser = commands.add_parser("schema", help=text, description=text)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the schema. No key is required, since one file may lack what another contains."""
    from nodulenet.settings import Settings

    print(json.dumps(without_required(Settings.model_json_schema()), indent=1))


def without_required(schema: Any) -> Any:
    """A JSON schema without its lists of required keys."""
    if isinstance(schema, list):
        return [without_required(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_required(part) for key, part in schema.items() if key != "required"}
