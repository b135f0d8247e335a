"""Find the CT series below a folder, by what their headers say."""

import filecmp
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nodulenet.files import InputError, require_uid, walk_folders
from nodulenet.imaging.dicom import arrange, remarks
from nodulenet.imaging.dicom_series import Series, gather_series
from nodulenet.imaging.dicom_slices import InspectedFile, inspect_file
from nodulenet.imaging.image_files import image_suffix
from nodulenet.imaging.readers import data_files, image_header
from nodulenet.progress import track

DOTTED = re.compile(r"[0-9]+(\.[0-9]+)+")
Unusable = tuple[Path, str]


@dataclass(frozen=True)
class FoundSeries:
    """A CT series: its UID, its file or DICOM folder, and the patient if the header names one.

    fault: why it is unusable, or "". remarks: oddities that are not faults.
    """

    series_uid: str
    path: Path
    patient_id: str | None
    fault: str = ""
    remarks: tuple[str, ...] = ()


def find_series(
    folder: Path | str, without: Collection[Path] = ()
) -> tuple[list[FoundSeries], list[Unusable]]:
    """Search a folder for image series; also return every file that is not a usable image, and why.

    A DICOM series is identified by its headers: it consists of all its slices, in however many
    folders, and its path is the lowest folder above them. An image file is identified by the key
    SeriesInstanceUID of its header or, as LUNA16's headers have none, by its name if that is a UID
    and a suffix. XML files (annotations) are skipped. No pixels are read, but a data file that is
    missing or of the wrong size, a DICOM series whose slices form no volume, and a series in
    several images that are not copies of one are reported as unusable. without: folders below
    that are left out. Raises `InputError` if the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: list[FoundSeries] = []
    unusable: list[Unusable] = []
    inspected: list[InspectedFile] = []
    left_out = [other.resolve() for other in without]
    left_out = [other for other in left_out if other != folder.resolve()]
    for place, names in track(walk_folders(folder), "look for images", "folders"):
        if any(place.resolve().is_relative_to(other) for other in left_out):
            continue
        files = [place / name for name in names if not name.lower().endswith(".xml")]
        images = [path for path in files if image_suffix(path)]
        _add_images(images, found, unusable)
        known = {*images, *_data_files(images)}
        inspected += [inspect_file(path) for path in files if path not in known]
    _add_dicom(inspected, found, unusable)
    return _without_copies(found, unusable), unusable


def _add_images(images: Iterable[Path], found: list[FoundSeries], unusable: list[Unusable]) -> None:
    for path in images:
        try:
            if path.name.startswith("."):
                raise InputError(f"{path}: a hidden file, perhaps left by an interrupted run")
            found.append(FoundSeries(_image_series_uid(path), path, None))
        except InputError as error:
            unusable.append((path, str(error).removeprefix(f"{path}: ")))


def _image_series_uid(path: Path) -> str:
    """The series UID of an image file: from its header, else from a file name that is a UID.

    Raises `InputError` if there is neither or if the file is not a usable image.
    """
    uid = image_header(path).series_uid
    if uid:
        return require_uid(uid, path)
    stem = path.name.removesuffix(image_suffix(path))
    if not DOTTED.fullmatch(stem):
        raise InputError(f"{path}: its header has no SeriesInstanceUID, its name is not a UID")
    return require_uid(stem, path)


def _data_files(images: Iterable[Path]) -> set[Path]:
    """The data files that the headers of images name."""
    owned: set[Path] = set()
    for path in images:
        try:
            owned.update(data_files(path))
        except InputError:
            continue  # already listed as unusable
    return owned


def _add_dicom(
    inspected: Iterable[InspectedFile], found: list[FoundSeries], unusable: list[Unusable]
) -> None:
    series = gather_series(inspected)
    found += [_found_dicom(one) for one in series.values()]
    reported = {one.fault for one in series.values()}
    for item in inspected:
        if item.skipped:
            unusable.append((item.path, item.skipped))
        elif item.fault and item.fault not in reported:
            unusable.append((item.path, item.fault.removeprefix(f"{item.path}: ")))


def _found_dicom(series: Series) -> FoundSeries:
    """A DICOM series, with the reason why `read_volume` would refuse it."""
    fault, odd = series.fault, []
    try:
        if not fault:
            odd = remarks(series, arrange(series)[0])
    except InputError as error:
        fault = str(error)
    patient = series.slices[0].patient_id
    return FoundSeries(series.series_uid, series.folder, patient, fault, tuple(odd))


def _without_copies(found: Sequence[FoundSeries], unusable: list[Unusable]) -> list[FoundSeries]:
    """Each series once: the first of several images, unusable unless the others are its copies."""
    series: dict[str, FoundSeries] = {}
    for image in sorted(found, key=lambda image: (image.path, image.series_uid)):
        uid = image.series_uid
        if uid not in series:
            series[uid] = image
        elif same_image(series[uid].path, image.path):
            unusable.append((image.path, f"a copy of an image: {series[uid].path}"))
        else:
            both = f"both in {series[uid].path} and in {image.path}"
            fault = f"series {uid} is {both}, which are not copies: keep the right one of them"
            series[uid] = replace(series[uid], fault=fault)
    return list(series.values())


def same_image(a: Path, b: Path) -> bool:
    """Whether two image files, with the data files that they name, are the same byte for byte."""
    if not (a.is_file() and b.is_file()):
        return False
    own, others = (sorted((path, *_data_files([path]))) for path in (a, b))
    return len(own) == len(others) and all(
        one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
        for one, other in zip(own, others, strict=True)
    )
