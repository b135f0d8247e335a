"""How much the lungs of synthetic scans are like those of real ones: one table of measures.

    python -m benchmarks.realism --real FOLDER ... --synthetic CT.mhd ...

Every measure is of the lung without its outer 4 mm, as nodulenet segments it, on a grid of 1 mm,
but for the noise, which is measured in the scan's own slices.
"""

import argparse
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from nodulenet.imaging import Volume, read_volume, segment_lungs, standard

RADII = (0.0, 1.2, 1.8, 2.6, 3.6, 99.0)
SIGMAS = (1.5, 2.5, 4.0, 6.0)
RESPONSE = 90.0
PATCH = 24


def measures(volume: Volume) -> dict[str, float]:
    """The measures of one scan in HU."""
    hu = volume.array.astype(np.float32)
    lungs = segment_lungs(volume) > 0
    found = _noise(hu, lungs, volume.spacing)
    fine, inside = _isotropic(hu, lungs, volume.spacing)
    inner = ndimage.distance_transform_edt(inside) > 4
    litres = inner.sum() / 1e6
    values = fine[inner]
    found["litres"] = float(litres)
    for share in (1, 5, 25, 50, 75, 95, 99):
        found[f"HU: {share} %"] = float(np.percentile(values, share))
    for level in (-700, -500, -200):
        found[f"share above {level} HU (%)"] = 100 * float((values > level).mean())
    return found | _tubes(fine, inner, litres) | _blobs(fine, inner, litres)


def _isotropic(
    hu: NDArray[np.float32], lungs: NDArray[np.bool_], spacing: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The box of the lungs on a grid of 1 mm, linearly interpolated."""
    box = ndimage.find_objects(lungs.astype(np.uint8))[0]
    hu, lungs = hu[box], lungs[box].astype(np.float32)
    return ndimage.zoom(hu, spacing, order=1), ndimage.zoom(lungs, spacing, order=1) > 0.5


def _tubes(hu: NDArray[np.float32], inner: NDArray[np.bool_], litres: float) -> dict[str, float]:
    """Length (cm per litre) of what is 200 HU denser than the lung, by its radius in mm."""
    dense = (hu > np.median(hu[inner]) + 200) & ndimage.binary_dilation(inner, iterations=3)
    radius = ndimage.distance_transform_edt(np.pad(dense, 1))[1:-1, 1:-1, 1:-1]
    line = skeletonize(dense) & inner
    counts, _ = np.histogram(radius[line], RADII)
    names = [f"tubes of {a:g} to {b:g} mm (cm/l)" for a, b in pairwise(RADII)]
    return {name: float(n / 10 / litres) for name, n in zip(names, counts, strict=True)}


def _blobs(hu: NDArray[np.float32], inner: NDArray[np.bool_], litres: float) -> dict[str, float]:
    """Maxima per litre of the scale-normalised Laplacian: a plain detector of blobs."""
    found = {}
    for sigma in SIGMAS:
        response = -(sigma**2) * ndimage.gaussian_laplace(np.clip(hu, -1000, 100), sigma)
        top = response == ndimage.maximum_filter(response, 2 * int(sigma) + 1)
        found[f"blobs of {sigma:g} mm (1/l)"] = float(
            (top & inner & (response > RESPONSE)).sum() / litres
        )
    return found


def _noise(hu: NDArray[np.float32], lungs: NDArray[np.bool_], spacing: NDArray) -> dict[str, float]:
    """Standard deviation and mean frequency of patches of lung without vessels."""
    spectra, deviations = [], []
    frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(PATCH, float(spacing[2]))]))
    for image, mask in zip(hu[::3], lungs[::3], strict=True):
        for y in range(0, image.shape[0] - PATCH, PATCH):
            for x in range(0, image.shape[1] - PATCH, PATCH):
                if not mask[y : y + PATCH, x : x + PATCH].all():
                    continue
                patch = image[y : y + PATCH, x : x + PATCH]
                if cv2.GaussianBlur(patch, (0, 0), 1.5).max() > np.median(patch) + 60:
                    continue
                rest = patch - cv2.GaussianBlur(patch, (0, 0), 3.0)
                deviations.append(float(rest.std()))
                spectra.append(np.abs(np.fft.fft2(rest * np.outer(*2 * [np.hanning(PATCH)]))) ** 2)
    power = np.mean(spectra, axis=0) if spectra else np.ones_like(frequency)
    return {
        "noise (HU)": float(np.median(deviations)) if deviations else float("nan"),
        "mean frequency of the noise (1/mm)": float((power * frequency).sum() / power.sum()),
    }


def table(columns: dict[str, dict[str, float]]) -> str:
    """Markdown: a row per measure, a column per scan or group of scans."""
    rows = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in next(iter(columns.values())):
        cells = (
            f"{column[name]:.3g}" if abs(column[name]) < 100 else f"{column[name]:.0f}"
            for column in columns.values()
        )
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def mean(several: Iterable[dict[str, float]]) -> dict[str, float]:
    """The mean of every measure."""
    rows = list(several)
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", nargs="*", type=Path, default=[])
    parser.add_argument("--synthetic", nargs="*", type=Path, default=[])
    options = parser.parse_args()
    columns = {}
    for kind in ("real", "synthetic"):
        scans = [measures(standard(read_volume(path))[0]) for path in getattr(options, kind)]
        columns |= {
            f"{kind} {path.stem}": one
            for path, one in zip(getattr(options, kind), scans, strict=True)
        }
        if len(scans) > 1:
            columns[f"{kind}, mean"] = mean(scans)
    print(table(columns))


if __name__ == "__main__":
    main()
