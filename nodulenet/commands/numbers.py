"""Numbers among a command's options, with what is wrong with one."""

import argparse

from nodulenet.numerals import to_count, to_number


def count(text: str) -> int:
    """A whole number that is not negative. Raises `ArgumentTypeError` for anything else."""
    try:
        return to_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def number(text: str) -> float:
    """A finite number. Raises `ArgumentTypeError` for anything else."""
    try:
        return to_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
