"""Which scanner made a CT, as far as its headers say."""

import math
from pathlib import Path
from typing import Any

from nodulenet.imaging.dicom import dicom_files

NAMES = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName"}
THICKNESS = "slice_thickness_mm"


def read_scanner(path: Path | str, series_uid: str) -> dict[str, Any]:
    """Manufacturer, model and slice thickness in mm that the first file of a DICOM series names.

    None for what is not there; of a file in another format, which has no place for them, all are.
    The series must be one that `read_volume` reads.
    """
    scanner: dict[str, Any] = dict.fromkeys((*NAMES, THICKNESS))
    if not Path(path).is_dir():
        return scanner
    import pydicom

    tags = ["SeriesInstanceUID", "SliceThickness", *NAMES.values()]
    for file in dicom_files(Path(path)):
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
        if str(header.get("SeriesInstanceUID")) == series_uid:
            for name, tag in NAMES.items():
                scanner[name] = str(header.get(tag) or "").strip() or None
            thickness = float(header.get("SliceThickness") or 0)
            scanner[THICKNESS] = thickness if math.isfinite(thickness) and thickness > 0 else None
            return scanner
    return scanner
