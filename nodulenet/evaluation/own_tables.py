"""Tables that this package wrote, parsed in one go.

The reader of tables that users give tells them the line at fault, cell by cell; that of a million
marks takes minutes and gigabytes, and so do ten thousand small tables one after another.
"""

import io
from collections.abc import Sequence

import pandas as pd

from nodulenet.evaluation.tables import check_columns
from nodulenet.files import InputError


def parse_together(files: Sequence[bytes], columns: Sequence[str]) -> pd.DataFrame | None:
    """The rows of CSV files with one header, in their order, as one table.

    The first of `columns` is text, the others finite numbers. None where anything is amiss, for
    a reader that names it: another header, a row cut short, an empty or quoted cell too many.
    """
    heads = {content[: content.find(b"\n") + 1] for content in files}
    head = heads.pop() if heads else b""
    if heads or not head or not all(content.endswith(b"\n") for content in files):
        return None
    body = b"".join(content[len(head) :] for content in files)
    lines = body.count(b"\n")
    if b'"' in body or body.count(b",") != lines * head.count(b","):
        return None
    try:
        table = pd.read_csv(io.BytesIO(head + body), dtype={columns[0]: str})
        check_columns(table, columns, "table")
    except (ValueError, InputError):
        return None
    return table if len(table) == lines and table[columns[0]].notna().all() else None
