"""What a table's numbers rest on, written into every row of it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet import __version__
from nodulenet.files import sha256

GIVEN: dict[str, Any] = {"consensus": "given", "level": None}
HASH_LETTERS = 12


@dataclass(frozen=True)
class Stamp:
    """Where a table's numbers come from.

    protocol: `nodulenet` or `luna16`. consensus: `protocol/merge/z/iou` of the config, or `given`
    where the nodules come from a file; level: readers that make a nodule, None where they are
    given. scans, nodules: how many were scored. version: of this software. config: a short hash
    of the configuration, or of the scored files and the options.
    """

    protocol: str
    consensus: str
    level: int | None
    scans: int
    nodules: int
    version: str
    config: str

    def plain(self) -> dict[str, Any]:
        """The fields as they are written into JSON."""
        return asdict(self)


def stamp_of(origin: Mapping[str, Any], scans: int, nodules: int) -> Stamp:
    """The stamp of this version; `origin`: protocol, consensus, level and config."""
    return Stamp(**origin, scans=scans, nodules=nodules, version=__version__)


def stamped(table: pd.DataFrame, stamp: Stamp) -> pd.DataFrame:
    """The table with the stamp's fields as columns at its end.

    A column that the table has itself stays as it is: `scans` and `nodules` of a fold's row are
    the fold's own.
    """
    own = {name: value for name, value in stamp.plain().items() if name not in table}
    whole = pd.DataFrame(own, index=table.index, columns=list(own))
    return pd.concat([table, whole], axis=1)


def hash_files(paths: Iterable[Path], settings: Mapping[str, Any]) -> str:
    """A short hash of the content of files, in their order, and of settings."""
    digests = "".join(sha256(path) for path in paths) + json.dumps(settings, sort_keys=True)
    return hashlib.sha256(digests.encode()).hexdigest()[:HASH_LETTERS]
