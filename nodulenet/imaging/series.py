"""Find the CT series below a folder, by what their headers say."""

import filecmp
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nodulenet.files import InputError, require_uid, walk_folders
from nodulenet.imaging.dicom import arranged, remarks
from nodulenet.imaging.dicom_series import Series, gather_series
from nodulenet.imaging.dicom_slices import Examined, examine
from nodulenet.imaging.readers import image_header
from nodulenet.imaging.volume_data import data_files, image_suffix
from nodulenet.progress import track

DOTTED = re.compile(r"[0-9]+(\.[0-9]+)+")
Unusable = tuple[Path, str]


@dataclass(frozen=True)
class FoundSeries:
    """A CT series: its UID, its file or DICOM folder, and the patient if the header names one.

    fault: why it is refused, "" if it is not. remarks: what is odd about it and no fault.
    """

    series_uid: str
    path: Path
    patient_id: str | None
    fault: str = ""
    remarks: tuple[str, ...] = ()


def find_series(
    folder: Path | str, without: Path | None = None
) -> tuple[list[FoundSeries], list[Unusable]]:
    """Walk a folder for image series; also every file that is no usable image, and why.

    A DICOM series is known by its headers: it is all its slices, in however many folders, and its
    path is the lowest folder above them. An image file is known by the key SeriesInstanceUID of
    its header. LUNA16's headers have none: only there does the file name stand in, if all of it
    before the suffix is a UID. XML files (annotations) are passed over. No pixel is read, but a
    data file that is missing or of the wrong size is noticed, and so is a DICOM series whose
    slices make no volume, and a series of several images that are not copies of one: such are
    refused. without: a folder below that is left out. Raises `InputError` if there is no such
    folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: list[FoundSeries] = []
    unusable: list[Unusable] = []
    examined: list[Examined] = []
    left_out = None if without is None else without.resolve()
    for place, names in track(walk_folders(folder), "look for images", "folders"):
        if left_out is not None and place.resolve().is_relative_to(left_out):
            continue
        files = [place / name for name in names if not name.lower().endswith(".xml")]
        images = [path for path in files if image_suffix(path)]
        _add_images(images, found, unusable)
        owned = _data_files(images)
        examined += [examine(path) for path in files if path not in owned and path not in images]
    _add_dicom(examined, found, unusable)
    return _without_copies(found, unusable), unusable


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
    examined: Iterable[Examined], found: list[FoundSeries], unusable: list[Unusable]
) -> None:
    held = gather_series(examined)
    found += [_found(series) for series in held.values()]
    told = {series.fault for series in held.values()}
    for item in examined:
        if item.passed:
            unusable.append((item.path, item.passed))
        elif item.fault and item.fault not in told:
            unusable.append((item.path, item.fault.removeprefix(f"{item.path}: ")))


def _found(series: Series) -> FoundSeries:
    """A DICOM series as it was found, with what `read_volume` would refuse it for."""
    fault, odd = series.fault, []
    try:
        if not fault:
            odd = remarks(series, arranged(series)[0])
    except InputError as error:
        fault = str(error)
    patient = series.slices[0].patient_id
    return FoundSeries(series.series_uid, series.folder, patient, fault, tuple(odd))


def _without_copies(found: Sequence[FoundSeries], unusable: list[Unusable]) -> list[FoundSeries]:
    """Each series once: of several images the first, refused unless the others are its copies."""
    series: dict[str, FoundSeries] = {}
    for image in sorted(found, key=lambda image: (image.path, image.series_uid)):
        uid = image.series_uid
        if uid not in series:
            series[uid] = image
        elif _same_file(series[uid].path, image.path):
            unusable.append((image.path, f"a copy of an image: {series[uid].path}"))
        else:
            both = f"both in {series[uid].path} and in {image.path}"
            fault = f"series {uid} lies {both}, which are no copies: keep the right one of them"
            series[uid] = replace(series[uid], fault=fault)
    return list(series.values())


def _same_file(a: Path, b: Path) -> bool:
    """Whether two image files are the same byte for byte, with the data files that they name."""
    if not (a.is_file() and b.is_file()):
        return False
    own, others = (sorted((path, *_data_files([path]))) for path in (a, b))
    return len(own) == len(others) and all(
        one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
        for one, other in zip(own, others, strict=True)
    )


def _reason(path: Path, error: Exception) -> str:
    return str(error).removeprefix(f"{path}: ")
