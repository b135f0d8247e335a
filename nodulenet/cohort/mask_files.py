"""Find the readers' masks of series in a folder: DICOM segmentations and label maps."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nodulenet.files import InputError, walk_folders
from nodulenet.imaging.dicom_header import NotDicom, read_header
from nodulenet.imaging.image_files import image_suffix
from nodulenet.imaging.readers import data_files
from nodulenet.imaging.segmentations import SEGMENTATIONS
from nodulenet.progress import track
from nodulenet.scan_table import SEPARATOR

PREDICTION = "findings.json"
"""Written by `nodulenet predict` beside its masks."""

NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")
Passed = list[tuple[Path, str]]


def find_masks(
    folder: Path, images: Mapping[str, Path], without: Collection[Path] = ()
) -> tuple[dict[str, list[Path]], Passed]:
    """The mask files of each series, sorted by path, and every other file with the reason.

    A DICOM segmentation names its series. A label map is of the series that the `findings.json`
    beside it names, else of that whose UID is in its own name or in that of the nearest folder.
    images: series -> its CT, which is not a mask, nor are the files of the folders `without`.
    Raises `InputError` where two files of a folder are forms of one mask: only one was corrected.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    passed: Passed = []
    left_out = [other.resolve() for other in without]
    for place, names in track(walk_folders(folder), "look for masks", "folders"):
        if any(place.resolve().is_relative_to(other) for other in left_out):
            continue
        own: dict[Path, str] = {}
        for path in mask_files(place, names, set(images.values())):
            try:
                if SEPARATOR in str(path):
                    raise InputError(f"{path}: a semicolon in a path would separate two readers")
                own[path] = series_of_mask(path, folder, images)
            except InputError as error:
                passed.append((path, str(error).removeprefix(f"{path}: ")))
        check_forms(own, PREDICTION in names)
        for path, uid in own.items():
            if uid in images:
                found[uid].append(path)
            else:
                passed.append((path, f"no CT of its series: {uid}"))
    return dict(found), passed


def mask_files(place: Path, names: Sequence[str], cts: Collection[Path]) -> list[Path]:
    """The files of a folder but for CTs and the data files that headers name."""
    files = [place / name for name in sorted(names)]
    data = {part for path in files if image_suffix(path) for part in _data_files(path)}
    return [path for path in files if path not in data and path not in cts]


def check_forms(own: Mapping[Path, str], predicted: bool) -> None:
    """Raise `InputError` if two of a folder's masks (with their series) are forms of one.

    Those of one series with the same name but for the suffix are, such as a.nii.gz and the
    a.seg.nrrd that 3D Slicer saves. predicted: all masks of the folder are of one prediction.
    """
    seen: dict[tuple[str, str], Path] = {}
    for path, uid in own.items():
        stem = path.name.removesuffix(image_suffix(path)).removesuffix(".seg").removesuffix(".dcm")
        other = seen.setdefault((uid, "" if predicted else stem), path)
        if other != path:
            both = f"{other.name} and {path.name} are of one reader"
            raise InputError(f"{path.parent}: {both}: keep the one that was corrected")


def series_of_mask(path: Path, root: Path, images: Collection[str] = ()) -> str:
    """The series that a mask file below `root` is of. Raises `InputError` for another file.

    images: the series that there are, which decide between several numbers in a name.
    """
    if path.name.startswith("."):
        raise InputError(f"{path}: a hidden file, perhaps left by another program")
    if image_suffix(path):
        return _series_of_label_map(path, root, images)
    try:
        header = read_header(path, ("SOPClassUID", "ReferencedSeriesSequence"))
    except NotDicom:
        raise InputError(f"{path}: neither a DICOM file nor an image") from None
    if header.get("SOPClassUID") not in SEGMENTATIONS:
        raise InputError(f"{path}: a DICOM file, but no segmentation")
    named = {str(one.SeriesInstanceUID) for one in header.get("ReferencedSeriesSequence", [])}
    if len(named) != 1:
        raise InputError(f"{path}: a segmentation of {len(named)} series")
    return named.pop()


def _series_of_label_map(path: Path, root: Path, images: Collection[str]) -> str:
    if path.with_name(PREDICTION).exists():
        return _series_of_prediction(path.with_name(PREDICTION))
    stem = path.name.removesuffix(image_suffix(path))
    names = [stem, *path.parent.relative_to(root).parts[::-1]]
    numbers = [number for name in names for number in NUMBERS.findall(name)]
    known = [number for number in numbers if number in images]
    dotted = [number for number in numbers if "." in number]
    if not known and not dotted:
        raise InputError(f"{path}: neither its name nor that of a folder above has a series UID")
    return (known or dotted)[0]


def _series_of_prediction(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["series_uid"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not what `nodulenet predict` writes: {error!r}") from error


def _data_files(path: Path) -> list[Path]:
    try:
        return data_files(path)
    except InputError:
        return []  # the file itself is reported when it is read
