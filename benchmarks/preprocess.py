"""From a CT and its lung mask to the 1 mm volume and its labels: `python -m benchmarks.preprocess`.

The peer is the usual way: convex hulls (scikit-image) and ten dilations of the whole mask, SciPy's
cubic zoom of the whole volume, and one of a whole-scan mask for each nodule; it takes minutes
(`--no-peer`). The difference of our grey values from SciPy's spline is printed as well. For times
on one core set OPENBLAS_NUM_THREADS=1, as in a job of the workflow.
"""

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.phantom import SPACING, phantom
from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.imaging import Volume, label_volume, preprocess
from nodulenet.imaging.grid import index_map
from nodulenet.imaging.lungs import LUNG_LABELS
from nodulenet.imaging.masks import Nodule
from nodulenet.imaging.preprocess import masked_planes
from nodulenet.settings import PreprocessSettings

SETTINGS = PreprocessSettings()


def main() -> None:
    options = parse()
    print_machine(["numpy", "scipy", "opencv-python-headless"])
    scan, lungs, nodules = phantom((options.slices, 512, 512))
    ours(scan, lungs, nodules)
    cpu = time.process_time()
    volume, _ = ours(scan, lungs, nodules)
    cpu = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    candidates = {"ours": lambda: ours(scan, lungs, nodules)}
    if not options.no_peer:
        candidates["SciPy zoom"] = lambda: usual(scan, lungs, nodules)
    work = f"preprocess {options.slices} x 512 x 512, {len(nodules)} nodules"
    print_table([time_in_turn(work, candidates, options.repeats)])
    print(f"\nours: {cpu:.2f} s CPU, peak memory of the process {peak:.0f} MB")
    off = distance(scan, lungs, volume)
    print(f"gray levels from SciPy's cubic spline inside the lungs: 99.9 % within {off:.2f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=133)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    return parser.parse_args()


def ours(
    scan: Volume, lungs: NDArray[np.uint8], nodules: list[Nodule]
) -> tuple[Volume, NDArray[np.uint8] | NDArray[np.uint16]]:
    volume = preprocess(scan, lungs, SETTINGS)
    labels, _ = label_volume(nodules, scan.affine, volume.affine, volume.array.shape)
    return volume, labels


def usual(scan: Volume, lungs: NDArray[np.uint8], nodules: list[Nodule]) -> NDArray[np.uint8]:
    """Mask, zoom, and zoom again for each nodule, all at the size of the scan."""
    from skimage.morphology import convex_hull_image

    kept = np.zeros(lungs.shape, bool)
    for label in LUNG_LABELS:
        for z in np.flatnonzero((lungs == label).any(axis=(1, 2))):
            lung = lungs[z] == label
            hull = convex_hull_image(lung)
            kept[z] |= hull if hull.sum() <= 1.5 * lung.sum() else lung
    kept = ndimage.binary_dilation(kept, iterations=10)
    low, high = SETTINGS.hu_window
    gray = (np.clip(scan.array, low, high) - low) * (255 / (high - low))
    gray = np.where(kept, gray, SETTINGS.pad_value)
    zoomed = ndimage.zoom(gray, SPACING, order=3, mode="nearest")
    for label, (mask, (z, y, x)) in nodules:
        whole = np.zeros(lungs.shape)
        d, h, w = mask.shape
        whole[z : z + d, y : y + h, x : x + w] = mask
        zoomed[ndimage.zoom(whole, SPACING, order=3) > 0.5] = label
    return zoomed.astype(np.uint8)


def distance(scan: Volume, lungs: NDArray[np.uint8], volume: Volume) -> float:
    """99.9th percentile of the distance from SciPy's spline at 200,000 voxels in the lungs."""
    rng = np.random.default_rng(0)
    index = rng.integers(0, volume.array.shape, (2_000_000, 3))
    matrix, shift = index_map(scan.affine, volume.affine)
    source = index @ matrix.T + shift
    nearest = np.clip(np.rint(source).astype(int), 0, np.array(lungs.shape) - 1)
    inside = np.flatnonzero(lungs[tuple(nearest.T)])[:200_000]
    masked = np.stack(list(masked_planes(scan.array, lungs, SETTINGS)))
    reference = ndimage.map_coordinates(masked, source[inside].T, order=3, mode="nearest")
    found = volume.array[tuple(index[inside].T)]
    return float(np.quantile(np.abs(found - np.clip(reference, 0, 255)), 0.999))


if __name__ == "__main__":
    main()
