"""Find the CT series below a folder, by what their headers say."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nodulenet.files import InputError, require_uid
from nodulenet.imaging.dicom import Slice, is_dicom, read_header
from nodulenet.imaging.readers import image_header
from nodulenet.imaging.volume_data import data_files, image_suffix
from nodulenet.progress import track

DOTTED = re.compile(r"[0-9]+(\.[0-9]+)+")
Unusable = tuple[Path, str]


@dataclass(frozen=True)
class FoundSeries:
    """A CT series: its UID, its file or DICOM folder, and the patient if the header names one."""

    series_uid: str
    path: Path
    patient_id: str | None


def find_series(folder: Path | str) -> tuple[list[FoundSeries], list[Unusable]]:
    """Walk a folder for image series; also every file that is no usable image, and why.

    A DICOM series is known by its headers; a folder with two gives two entries. An image file
    is known by the key SeriesInstanceUID of its header. LUNA16's headers have none: only there
    does the file name stand in, if all of it before the suffix is a UID. XML files
    (annotations) are passed over. No pixel is read, but a data file that is missing or of the
    wrong size is noticed. Raises `InputError` if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: list[FoundSeries] = []
    unusable: list[Unusable] = []
    for place, subfolders, names in track(os.walk(folder), "look for images", "folders"):
        subfolders.sort()
        files = [Path(place, name) for name in sorted(names) if not name.lower().endswith(".xml")]
        images = [path for path in files if image_suffix(path)]
        _add_images(images, found, unusable)
        owned = _data_files(images)
        others = [path for path in files if path not in owned and path not in images]
        _add_dicom(Path(place), others, found, unusable)
    return found, unusable


def _add_images(images: Iterable[Path], found: list[FoundSeries], unusable: list[Unusable]) -> None:
    for path in images:
        try:
            if path.name.startswith("."):
                raise InputError(f"{path}: a hidden file, perhaps of a run that was killed")
            found.append(FoundSeries(image_series_uid(path), path, None))
        except InputError as error:
            unusable.append((path, _reason(path, error)))


def image_series_uid(path: Path) -> str:
    """The series UID of an image file: from its header, else a file name that is a UID.

    Raises `InputError` if there is neither or if the file is no usable image.
    """
    uid = image_header(path).series_uid
    if uid:
        return require_uid(uid, path)
    stem = path.name.removesuffix(image_suffix(path))
    if not DOTTED.fullmatch(stem):
        raise InputError(f"{path}: its header has no SeriesInstanceUID, its name is no UID")
    return require_uid(stem, path)


def _data_files(images: Iterable[Path]) -> set[Path]:
    """Files that the headers of images name as theirs."""
    owned: set[Path] = set()
    for path in images:
        try:
            owned.update(data_files(path))
        except InputError:
            continue  # already listed as unusable
    return owned


def _add_dicom(
    folder: Path, files: Iterable[Path], found: list[FoundSeries], unusable: list[Unusable]
) -> None:
    series: dict[str, str | None] = {}
    for path in files:
        try:
            if not is_dicom(path):
                raise InputError(f"{path}: not an image of a known format")
            header = read_header(path)
            if isinstance(header, Slice):
                series.setdefault(header.series_uid, header.patient_id)
        except InputError as error:
            unusable.append((path, _reason(path, error)))
    found += [FoundSeries(uid, folder, patient) for uid, patient in sorted(series.items())]


def _reason(path: Path, error: Exception) -> str:
    return str(error).removeprefix(f"{path}: ")
