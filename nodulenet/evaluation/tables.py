"""Tables of the evaluation: lists of scans, tables of scores, and the stamp of their rows."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet import __version__
from nodulenet.files import EXAMPLES, InputError, examples, own_artefact, replacing, sha256
from nodulenet.text_tables import read_lines

HEADINGS = ("seriesuid", "seriesuids", "seriesinstanceuid", "series", "scan", "scans", "uid")
HASH_LETTERS = 12


def read_scan_list(path: Path) -> list[str]:
    """Read a list of series, one per line, without header. Raises `InputError`."""
    scans = []
    for line, cells in read_lines(path):
        if len(cells) != 1:
            raise InputError(
                f"{path}: line {line}: {len(cells)} columns in what should be a list of series"
            )
        scans += cells
    if scans and "".join(filter(str.isalnum, scans[0])).casefold() in HEADINGS:
        raise InputError(f"{path}: line 1 is a header ({scans[0]}), a list of series has none")
    check_scan_list(scans, str(path))
    return scans


def check_scan_list(scans: Sequence[str], name: str) -> None:
    """Raise `InputError` when the list of scans is empty or names one twice."""
    if not scans:
        raise InputError(f"{name}: no scan")
    index = pd.Index(scans)
    if index.has_duplicates:
        raise InputError(
            f"{name}: scan listed twice: {examples(index[index.duplicated()].tolist())}"
        )


def scan_positions(table: pd.DataFrame, scans: Sequence[str], name: str) -> NDArray[np.intp]:
    """Position of each row's scan in the list.

    Raises `InputError` for scans not in the list, with the listed ones that look most like them.
    """
    positions = pd.Index(scans).get_indexer(pd.Index(table["seriesuid"]))
    if (positions < 0).any():
        unknown = table["seriesuid"][positions < 0].unique().tolist()
        close = [get_close_matches(str(scan), scans, 1, 0) for scan in unknown[:EXAMPLES]]
        listed = list(dict.fromkeys(name for names in close for name in names))
        raise InputError(
            f"{name}: {len(unknown)} scan(s) not in the list of scans: {examples(unknown)}; "
            f"the list has {examples(listed, len(scans))}"
        )
    return positions


def within(table: pd.DataFrame, scans: Sequence[str]) -> pd.DataFrame:
    """The rows of some scans, with their index."""
    return table[table["seriesuid"].isin(scans)]


def unmarked(marks: pd.DataFrame, scans: Sequence[str]) -> list[str]:
    """Scans of the list without a mark."""
    marked = set(marks["seriesuid"])
    return [scan for scan in scans if scan not in marked]


@dataclass(frozen=True)
class Origin:
    """What nodules and config a score rests on.

    consensus: `protocol/merge/z/iou` of the config, or `given` where the nodules come from a file;
    level: readers that make a nodule, None where they are given. config: a short hash of the
    configuration, or of the scored files and the options. protocol: `nodulenet` or `luna16`.
    """

    consensus: str
    level: int | None
    config: str
    protocol: str = "nodulenet"


@dataclass(frozen=True)
class Stamp:
    """Where a table's numbers come from, in every row of it: an `Origin`, how many scans and
    nodules were scored, and the version of this software.
    """

    protocol: str
    consensus: str
    level: int | None
    scans: int
    nodules: int
    version: str
    config: str

    @property
    def given(self) -> bool:
        """Whether the nodules come from a file."""
        return self.consensus == "given"


def stamp_of(origin: Origin, scans: int, nodules: int) -> Stamp:
    """The stamp of this version."""
    return Stamp(**asdict(origin), scans=scans, nodules=nodules, version=__version__)


def stamped(table: pd.DataFrame, stamp: Stamp) -> pd.DataFrame:
    """The table with the stamp's fields as columns at its end.

    A column that the table has itself is kept: `scans` and `nodules` of a fold's row are the
    fold's own.
    """
    own = {name: value for name, value in asdict(stamp).items() if name not in table}
    whole = pd.DataFrame(own, index=table.index, columns=list(own))
    return pd.concat([table, whole], axis=1)


def hash_files(paths: Iterable[Path], options: Mapping[str, object]) -> str:
    """A short hash of the content of files, in their order, and of options."""
    digests = "".join(sha256(path) for path in paths) + json.dumps(options, sort_keys=True)
    return hashlib.sha256(digests.encode()).hexdigest()[:HASH_LETTERS]


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV with nine digits, which distinguish any two numbers of float32."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g")


def read_scores(path: Path, columns: Sequence[str], **types: str) -> pd.DataFrame:
    """Read a CSV file of scores. types: of the columns whose type is not to be guessed.

    Raises `CorruptArtefact` naming a file that is missing, damaged or lacks one of `columns`.
    """
    with own_artefact(path):
        table = pd.read_csv(path, dtype=types)
        if missing := [name for name in columns if name not in table]:
            raise InputError(f"{path}: no column {', '.join(missing)}")
        return table


def json_values(values: NDArray[np.float64] | float) -> Any:
    """Nested lists of floats, None for NaN, which JSON lacks."""
    return np.where(np.isnan(values), np.array(None), values).tolist()
