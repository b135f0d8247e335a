"""Which scanner made a CT, as far as its headers say."""

from pathlib import Path
from typing import Any

from nodulenet.imaging.dicom_header import read_header, text_of
from nodulenet.imaging.dicom_series import examine_below

NAMES = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName"}
THICKNESS = "slice_thickness_mm"


def read_scanner(path: Path | str, series_uid: str) -> dict[str, Any]:
    """Manufacturer, model and slice thickness in mm that the first slice of a DICOM series names.

    None for what is not there; of a file in another format, which has no place for them, all are.
    The series must be one that `read_volume` reads.
    """
    scanner: dict[str, Any] = dict.fromkeys((*NAMES, THICKNESS))
    if not Path(path).is_dir():
        return scanner
    files = (item for item in examine_below(Path(path), series_uid) if item.slices)
    first = next((item.slices[0] for item in files), None)
    if first is None:
        return scanner
    header = read_header(first.path, list(NAMES.values()))
    names = {name: text_of(header, tag, first.path) or None for name, tag in NAMES.items()}
    return {**names, THICKNESS: first.thickness}
