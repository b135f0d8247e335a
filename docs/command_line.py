"""The reference of the command line, generated from its parser when MkDocs builds the site."""

import argparse
from functools import partial

from nodulenet.cli import build_parser

MARK = "<!-- the commands -->"
WIDTH = 88
LOOK = partial(argparse.HelpFormatter, width=WIDTH)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace the mark by the reference; called by MkDocs for every page."""
    return markdown.replace(MARK, render(build_parser())) if MARK in markdown else markdown


def render(parser: argparse.ArgumentParser) -> str:
    """The `--help` text of the parser and of each of its commands."""
    parts = [fenced(parser)]
    for name, command in commands_of(parser).items():
        parts += [f"## `{parser.prog} {name}`", fenced(command)]
    return "\n\n".join(parts) + "\n"


def fenced(parser: argparse.ArgumentParser) -> str:
    """The help of one parser, with a fixed width."""
    parser.formatter_class = LOOK
    return f"```text\n{parser.format_help().rstrip()}\n```"


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name."""
    kind = argparse._SubParsersAction
    actions = [action for action in parser._actions if isinstance(action, kind)]
    return {name: own for action in actions for name, own in action.choices.items()}
