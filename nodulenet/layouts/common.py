"""What the layouts share: the files of a tree, their images, and what is found in them."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from nodulenet.cohort.index import NO_CT, Index, Passed, fix_folds
from nodulenet.files import InputError, examples, walk_folders
from nodulenet.imaging.readers import ImageHeader, check_data, data_files, image_header
from nodulenet.imaging.series import same_image
from nodulenet.progress import track
from nodulenet.scan_table import COLUMNS

HIDDEN = "a hidden file, perhaps left by another program"
NO_ANNOTATIONS = "no annotations of its series"


class Request(NamedTuple):
    """What is asked of a layout.

    nodules: the table of nodules that the scan table shall name, if the layout has positions.
    axes: those of the positions. lung_masks: a folder of lung masks.
    """

    root: Path
    nodules: Path
    axes: str = "LPS"
    lung_masks: Path | None = None


class Cohort(NamedTuple):
    """What a layout found: its scans and the files left over, a line of counts, lines for the
    config, and the nodules to write beside the scan table if they are positions.
    """

    found: Index
    counts: str
    config: tuple[str, ...]
    nodules: pd.DataFrame | None = None


class Image(NamedTuple):
    """A usable CT by its header. uid: from the header, else derived from its name."""

    path: Path
    uid: str
    header: ImageHeader


def list_files(root: Path) -> list[Path]:
    """Every file of a tree. Raises `InputError` if it is no folder."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    return [place / name for place, names in walk_folders(root) for name in names]


def uid_of_name(layout: str, name: str) -> str:
    """The series UID of a scan that has none: always the same one for a layout and a name.

    As DICOM derives a UID from a UUID (PS3.5, B.2), here of version 5: at most 44 characters.
    """
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, f'{layout}/{name}').int}"


def open_images(layout: str, named: Mapping[str, Path]) -> tuple[dict[str, Image], Passed]:
    """The usable ones of the images by their names, and the others with their faults.

    Only headers are read, and the size of the data is checked.
    """
    images: dict[str, Image] = {}
    passed: Passed = []
    for name, path in track(named.items(), "read headers", "images", len(named)):
        try:
            header = image_header(path)
            images[name] = Image(path, header.series_uid or uid_of_name(layout, name), header)
        except InputError as error:
            passed.append((path, f"refused: {str(error).removeprefix(f'{path}: ')}"))
    return images, passed


def usable_masks(named: Mapping[str, Path]) -> tuple[dict[str, Path], Passed]:
    """The masks by their names whose headers and sizes of data are right, and the others.

    What else may be wrong with a mask shows when it is read.
    """
    masks: dict[str, Path] = {}
    passed: Passed = []
    for name, path in track(named.items(), "check masks", "masks", len(named)):
        try:
            check_data(path, deep=False)
            masks[name] = path
        except InputError as error:
            passed.append((path, f"refused: {str(error).removeprefix(f'{path}: ')}"))
    return masks, passed


def without_copies(found: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], Passed]:
    """The first file of each name in the order of the paths; its copies are passed over.

    Raises `InputError` if two images of one name are not byte for byte the same.
    """
    named: dict[str, Path] = {}
    passed: Passed = []
    for name, path in sorted(found, key=lambda one: one[1]):
        first = named.setdefault(name, path)
        if first == path:
            continue
        if not same_image(first, path):
            raise InputError(f"{path}: is not the same as {first}: keep the right one of them")
        passed.append((path, f"a copy of another file: {first}"))
    return named, passed


def left_over(
    files: Sequence[Path], used: Collection[Path], passed: Passed, what: str
) -> list[tuple[Path, str]]:
    """What was passed over, and every other file of a tree that was not used, with the reason.

    The data files that the headers of images name are their parts. what: the layout's data set.
    """
    told = {path for path, _ in passed}
    known = {*used, *told}
    parts = {part for path in known if path.suffix.lower() == ".mhd" for part in data_parts(path)}
    others = [path for path in files if path not in known and path not in parts]
    return passed + [
        (path, HIDDEN if path.name.startswith(".") else f"not one of {what}'s files")
        for path in others
    ]


def data_parts(path: Path) -> list[Path]:
    """The data files that the header of an image names; none if it cannot be read."""
    try:
        return data_files(path)
    except InputError:
        return []


def the_file(files: Sequence[Path], names: Collection[str], root: Path, what: str) -> Path:
    """The only file of a tree with one of the names (in lower case).

    Raises `InputError` saying what was looked for and what is there, if there is none or several.
    """
    found = [path for path in files if path.name.lower() in names]
    if len(found) > 1:
        raise InputError(f"{root}: holds {examples(list(map(str, found)))}: keep the right one")
    if not found:
        raise refusal(root, what, files)
    return found[0]


def refusal(root: Path, what: str, files: Sequence[Path]) -> InputError:
    """The error that a tree does not hold what its layout has."""
    names = sorted({path.name for path in files if not path.name.startswith(".")})
    shown = f"its {len(files)} files are {examples(names)}" if files else "it is empty"
    return InputError(f"{root}: no {what} in it or below it: {shown}")


def table_of_rows(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """The scan table of rows, sorted by patient and series."""
    more = [name for name in (rows[0] if rows else {}) if name not in COLUMNS]
    table = pd.DataFrame(list(rows), columns=[*COLUMNS, *more])
    return table.sort_values(["patient_id", "series_uid"], ignore_index=True)


def require_scans(table: pd.DataFrame, root: Path, what: str, passed: Passed) -> None:
    """Raise `InputError` with the first reasons if no scan is left. what: as it should hold."""
    if table.empty:
        told = "; ".join(f"{path.name}: {reason}" for path, reason in passed[:2])
        raise InputError(f"{root}: no {what}{': ' if told else ''}{told}")


def with_folds(
    table: pd.DataFrame, folds: Mapping[str, int], path: Path
) -> tuple[pd.DataFrame, list[str], tuple[str, ...]]:
    """The scan table with the column `fold`, notes, and a line for the config.

    folds: series -> fold, from the file or folder `path`. Raises `InputError` for a scan without a
    fold, and if the folds are not numbered from 0 without gaps.
    """
    numbers = sorted(set(folds.values()))
    if numbers != list(range(len(numbers))):
        raise InputError(f"{path}: the folds are {numbers}, not 0 to {len(numbers) - 1}")
    table, notes = fix_folds(table, folds, path)
    return table, notes, (f"folds: {{number: {len(numbers)}}}",)


def rows_without_ct(path: Path, rows: pd.Series, known: Collection[str]) -> Passed:
    """The scans of a table's rows that have no image, with their numbers of rows.

    rows: the name of each row's scan. Raises `InputError` if there are rows, but none has one.
    """
    counts = rows.value_counts(sort=False)
    missing = {str(name): int(n) for name, n in counts.items() if name not in known}
    if len(missing) == len(counts):
        have = examples(list(known)) or "none"
        raise InputError(
            f"{path}: no row is of a scan with an image: it has"
            f" {examples(list(missing)) or 'no row'}; the images are {have}"
        )
    return [(path, f"{NO_CT}: {name} (rows: {n})") for name, n in missing.items()]


def plural(count: int, what: str) -> str:
    """A count with its noun, `1 scan` or `2 scans`."""
    return f"{count} {what}{'s' * (count != 1)}"
