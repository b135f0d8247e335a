"""Draw slices of synthetic scans into docs/images/phantom.jpg: `python docs/phantom.py`.

The first scans of pretrain.tsv, from the base up, in a lung window.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.demo.cohort import demo_scans
from nodulenet.imaging import Volume, read_volume
from nodulenet.phantom import ScanFiles, render_scan
from nodulenet.scan_table import read_scans

DOCS = Path(__file__).parent
SCANS, SLICES = 3, 4
LOWEST_HU, HIGHEST_HU = -1350.0, 150.0
SHAPE_MM = (250, 360)
"""Height and width of what is drawn of a slice, about its middle; one pixel per mm."""


def main() -> None:
    rows = []
    for scan in read_scans(DOCS.parent / "pretrain.tsv")[:SCANS]:
        with tempfile.TemporaryDirectory() as folder:
            files = ScanFiles(*(Path(folder) / name for name in ("a.mhd", "a.xml", "b.mhd")))
            patients = [one.patient_id for one in demo_scans()]
            render_scan(scan["series_uid"], files, held_out=True, without=patients)
            rows.append(strip(read_volume(files.ct)))
    cv2.imwrite(str(DOCS / "images/phantom.jpg"), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 70])


def strip(volume: Volume) -> NDArray[np.uint8]:
    """Evenly spaced slices beside each other."""
    count = len(volume.array)
    chosen = np.linspace(0.1 * count, 0.9 * count, SLICES).astype(int)
    return np.hstack([tile(volume.array[z], volume.spacing) for z in chosen])


def tile(image: NDArray, spacing: NDArray) -> NDArray[np.uint8]:
    """The middle of a slice in grey, one pixel per mm."""
    grey = np.clip((image - LOWEST_HU) / (HIGHEST_HU - LOWEST_HU), 0, 1) * 255
    size = tuple(round(n * step) for n, step in zip(image.shape[::-1], spacing[:0:-1], strict=True))
    scaled = cv2.resize(grey.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    pad = [max(0, want - have) for want, have in zip(SHAPE_MM, scaled.shape, strict=True)]
    scaled = np.pad(scaled, [(p // 2, p - p // 2) for p in pad])
    y, x = ((have - want) // 2 for have, want in zip(scaled.shape, SHAPE_MM, strict=True))
    return scaled[y : y + SHAPE_MM[0], x : x + SHAPE_MM[1]]


if __name__ == "__main__":
    main()
