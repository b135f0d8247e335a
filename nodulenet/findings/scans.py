"""The scans of an input: a file, a DICOM series, or a folder of studies."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nodulenet.files import InputError
from nodulenet.imaging.dicom import arrange
from nodulenet.imaging.dicom_header import read_header
from nodulenet.imaging.dicom_series import read_series
from nodulenet.imaging.dicom_slices import claims_dicom
from nodulenet.imaging.image_files import image_suffix
from nodulenet.imaging.readers import image_header
from nodulenet.imaging.series import FoundSeries, find_series

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Source:
    """The source of a slice: the header of its file and, in a multi-frame image, its frame.

    frame: from 1, as in DICOM; None if the file is the slice. number: InstanceNumber.
    """

    header: "Dataset"
    frame: int | None
    sop_uid: str
    number: int | None


def find_scans(path: Path, series_uid: str | None = None) -> tuple[list[FoundSeries], list[str]]:
    """The CT series of a file or folder, and a line for everything that was skipped.

    series_uid: use only this series. Series are found and refused as by `find_series`. Raises
    `InputError` if there is no CT.
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
        if series_uid in (None, series.series_uid):
            scans.append(series)
        else:
            passed.append(f"{series.path}: series {series.series_uid}: not the one asked for")
    if not scans:
        what = f"no series {series_uid}" if series_uid else "no CT series"
        reasons = "; ".join(passed[:3]) + ("; ..." if len(passed) > 3 else "")
        raise InputError(f"{path}: {what}" + (f" (skipped: {reasons})" if passed else ""))
    return scans, passed


def scan_of_file(path: Path, series_uid: str | None) -> FoundSeries:
    """The scan of an image file, named by its header or, without a UID there, by the file."""
    if claims_dicom(path):
        raise InputError(f"{path}: one DICOM file; name the folder of its series")
    uid = image_header(path).series_uid or path.name.removesuffix(image_suffix(path))
    if series_uid not in (None, uid):
        raise InputError(f"{path}: is series {uid}, not {series_uid}")
    return FoundSeries(uid, path, None)


def slice_sources(scan: FoundSeries) -> list[Source]:
    """The sources of the slices of a DICOM series, in the order of its volume."""
    slices, _ = arrange(read_series(scan.path, scan.series_uid))
    headers = {path: read_header(path) for path in dict.fromkeys(s.path for s in slices)}
    return [
        Source(
            headers[item.path],
            None if item.frame is None else item.frame + 1,
            item.sop_uid,
            item.number,
        )
        for item in slices
    ]
