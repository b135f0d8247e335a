"""DLCS24, the Duke screening data: NIfTI files, boxes of nodules, a split for benchmarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from nodulenet.annotations.challenge_csv import DIAMETER, POSITION, with_numbers
from nodulenet.cohort.index import Index
from nodulenet.files import InputError, examples
from nodulenet.imaging.image_files import NIFTI, image_suffix
from nodulenet.layouts.common import (
    Cohort,
    Request,
    left_over,
    list_files,
    open_images,
    plural,
    refusal,
    require_scans,
    table_of_rows,
    with_folds,
    without_copies,
)
from nodulenet.layouts.luna25 import CONFIG
from nodulenet.layouts.positions import (
    SIDES,
    Placed,
    listed_scans,
    listed_table,
    place_rows,
)
from nodulenet.layouts.tables import bare, by_bare_name, read_csv, read_head, without_doubles
from nodulenet.numerals import COUNT

COLUMNS = (
    *("patient-id", "nodule_id", "ct_nifti_file", *POSITION),
    *("w", "h", "d", "benchmark_split"),
)
NAMES = ("patient", "nodule", "file", *POSITION, *SIDES, "split")
FIRST = (("train", "training"), ("val", "validation", "valid"), ("test", "testing"))
"""The splits that are numbered first, under any of their names."""


def dlcs24_cohort(request: Request) -> Cohort:
    """DLCS24 in a folder: NIfTI files and the table with the column ct_nifti_file."""
    files = list_files(request.root)
    path = table_of(files, request.root)
    rows, notes = without_doubles(read_csv(path, COLUMNS), path)
    rows = rows.set_axis(list(NAMES), axis=1)
    cts, copies = without_copies(named_niftis(files))
    if not cts:
        raise refusal(request.root, "NIfTI file (.nii.gz, .nii)", files)
    rows = rows.assign(name=match_names(rows["file"], cts, path, notes))
    images, faulty = open_images("dlcs24", cts)
    placed = place_rows(rows, images, path, request)
    placed = placed._replace(rows=with_diameters(placed, path))
    table = table_of_rows(listed_scans(placed, images, patient_of_each(rows, path), request))
    passed = copies + faulty + placed.passed
    require_scans(table, request.root, "scan of DLCS24 with usable positions", passed)
    names = {images[name].uid: name for name in placed.rows["name"]}
    splits = split_of(rows, path)
    folds, told = numbered({uid: splits[name] for uid, name in names.items()})
    table, moved, line = with_folds(table, folds, path)
    nodules = listed_table(placed, images)
    counts = f"{plural(len(table), 'scan')}, {plural(len(nodules), 'nodule')} with boxes"
    passed = left_over(files, [*cts.values(), path], passed, "DLCS24")
    index = Index(table, passed, [*notes, *placed.notes, told, *moved])
    return Cohort(index, counts, CONFIG + line, nodules)


def table_of(files: Sequence[Path], root: Path) -> Path:
    """The only CSV of a tree that has the column ct_nifti_file. Raises `InputError`."""
    tables = [p for p in files if p.suffix.lower() == ".csv" and not p.name.startswith(".")]
    heads = {path: ";".join(read_head(path)).casefold() for path in tables}
    found = [path for path, head in heads.items() if "ct_nifti_file" in head]
    if len(found) > 1:
        named = examples(list(map(str, found)))
        raise InputError(f"{root}: several tables have ct_nifti_file: {named}: keep the right one")
    if not found:
        raise refusal(root, "table (.csv) with a column ct_nifti_file", tables or files)
    return found[0]


def named_niftis(files: Sequence[Path]) -> list[tuple[str, Path]]:
    """The NIfTI files by their names without suffix; hidden ones are not images."""
    suffixes = [(path, image_suffix(path)) for path in files if not path.name.startswith(".")]
    return [(p.name.removesuffix(end), p) for p, end in suffixes if end.lower() in NIFTI]


def match_names(
    cells: pd.Series, cts: Mapping[str, Path], path: Path, notes: list[str]
) -> list[str]:
    """The name of each row's image; that of the file in the table if there is none.

    Folders in the table do not matter. A name whose numbers lost leading zeros is matched, which
    is noted, unless it could be of several images: then `InputError`.
    """
    names, known, lost = [], None, 0
    for cell in cells:
        file = PurePosixPath(cell.replace("\\", "/")).name
        name = file.removesuffix(image_suffix(Path(file)))
        if name not in cts:
            known = by_bare_name(list(cts), path) if known is None else known
            lost += bare(name) in known
            name = known.get(bare(name), name)
        names.append(name)
    if lost:
        notes.append(f"{path}: {plural(lost, 'row')} matched without leading zeros or case")
    return names


def with_diameters(placed: Placed, path: Path) -> pd.DataFrame:
    """The rows with the largest side of each box as diameter.

    Raises `InputError` naming the line of a nodule with a side that is not above 0.
    """
    rows = placed.rows
    nodules = with_numbers(rows[rows["nodule"] != ""], SIDES, path)
    sides = nodules[list(SIDES)].astype(float)
    for line in nodules.index[(sides <= 0).any(axis=1)][:1]:
        raise InputError(f"{path}: line {line}: w, h and d of a nodule must be above 0")
    diameters = pd.Series(map(repr, sides.max(axis=1).tolist()), nodules.index, dtype=str)
    return rows.assign(**{DIAMETER: diameters.reindex(rows.index, fill_value="")})


def patient_of_each(rows: pd.DataFrame, path: Path) -> dict[str, str]:
    """The patient of each image. Raises `InputError` for an image of two patients or of none."""
    return one_of_each(rows, "patient", "patient-id", path)


def split_of(rows: pd.DataFrame, path: Path) -> dict[str, str]:
    """The split of each image. Raises `InputError` for an image in two splits or in none."""
    return one_of_each(rows, "split", "benchmark_split", path)


def one_of_each(rows: pd.DataFrame, column: str, told: str, path: Path) -> dict[str, str]:
    """The only value of a column for each image; told: its name in the table."""
    found: dict[str, str] = {}
    for line, name, value in rows[["name", column]].itertuples():
        if not value:
            raise InputError(f"{path}: line {line}: {told} is empty")
        if found.setdefault(name, value) != value:
            both = f"{found[name]!r} and {value!r}"
            raise InputError(f"{path}: line {line}: {name} has two {told}: {both}")
    return found


def numbered(splits: Mapping[str, str]) -> tuple[dict[str, int], str]:
    """The fold of each scan, and a note on the numbers of named splits.

    Numbers stay. Names are numbered: training, validation, test, then others in their order.
    """
    names = sorted(set(splits.values()), key=place_of_split)
    if all(COUNT.fullmatch(name) for name in names):
        return {uid: int(name) for uid, name in splits.items()}, "folds: those of benchmark_split"
    numbers = {name: number for number, name in enumerate(names)}
    told = ", ".join(f"{name} is fold {number}" for name, number in numbers.items())
    return {uid: numbers[name] for uid, name in splits.items()}, f"benchmark_split: {told}"


def place_of_split(name: str) -> tuple[int, str]:
    """Sorts named splits."""
    places = [place for place, names in enumerate(FIRST) if name.casefold() in names]
    return (places or [len(FIRST)])[0], name
