"""The scans of an input: a file, a DICOM series, or a folder of studies."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nodulenet.files import InputError
from nodulenet.imaging.dicom import dicom_files, is_dicom, sorted_slices
from nodulenet.imaging.readers import image_header
from nodulenet.imaging.series import find_series
from nodulenet.imaging.volume_data import image_suffix

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Scan:
    """One CT to predict: its file or DICOM folder."""

    series_uid: str
    path: Path
    patient_id: str | None

    @property
    def is_dicom(self) -> bool:
        return self.path.is_dir()


def find_scans(path: Path, series_uid: str | None = None) -> tuple[list[Scan], list[str]]:
    """The CT series of a file or folder, and a line for everything that was passed over.

    series_uid: take this series alone. Localizers are passed over. Raises `InputError` where
    there is no CT or a series lies in two folders.
    """
    if path.is_file():
        return [scan_of_file(path, series_uid)], []
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    found, unusable = find_series(path)
    faults = Counter((file.parent, reason) for file, reason in unusable)
    passed = [
        f"{folder}: {count} file{'s' * (count > 1)}: {reason}"
        for (folder, reason), count in faults.items()
    ]
    scans = []
    for series in found:
        scan = Scan(series.series_uid, series.path, series.patient_id)
        if series_uid not in (None, scan.series_uid):
            passed.append(f"{scan.path}: series {scan.series_uid}: not the one asked for")
        elif scan.is_dicom and is_localizer(scan):
            passed.append(f"{scan.path}: series {scan.series_uid}: a localizer")
        else:
            scans.append(scan)
    check_scans(path, scans, passed, series_uid)
    return scans, passed


def check_scans(path: Path, scans: list[Scan], passed: list[str], series_uid: str | None) -> None:
    """Raise `InputError` where there is no scan, or one that lies in two places."""
    if not scans:
        what = f"no series {series_uid}" if series_uid else "no CT series"
        reasons = "; ".join(passed[:3]) + ("; ..." if len(passed) > 3 else "")
        raise InputError(f"{path}: {what}" + (f" (passed over: {reasons})" if passed else ""))
    places: dict[str, Path] = {}
    for scan in scans:
        if scan.series_uid in places:
            raise InputError(
                f"{path}: series {scan.series_uid} lies both in {places[scan.series_uid]} and in"
                f" {scan.path}; name one of them"
            )
        places[scan.series_uid] = scan.path


def scan_of_file(path: Path, series_uid: str | None) -> Scan:
    """The scan of an image file, named by its header or, without a UID there, by the file."""
    if is_dicom(path):
        raise InputError(f"{path}: one DICOM file; name the folder of its series")
    uid = image_header(path).series_uid or path.name.removesuffix(image_suffix(path))
    if series_uid not in (None, uid):
        raise InputError(f"{path}: is series {uid}, not {series_uid}")
    return Scan(uid, path, None)


def is_localizer(scan: Scan) -> bool:
    """Whether the first slice that is found of a DICOM series calls itself a localizer."""
    import pydicom

    for path in dicom_files(scan.path):
        header = pydicom.dcmread(path, specific_tags=["SeriesInstanceUID", "ImageType"])
        if header.get("SeriesInstanceUID") == scan.series_uid:
            return "LOCALIZER" in (header.get("ImageType") or [])
    return False


def slice_headers(scan: Scan) -> list["Dataset"]:
    """The headers of a DICOM series' slices, in the order of its volume's."""
    import pydicom

    slices, _ = sorted_slices(scan.path, scan.series_uid)
    return [pydicom.dcmread(item.path, stop_before_pixels=True) for item in slices]
