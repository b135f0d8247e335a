"""Crops from volumes on different disks: `python -m benchmarks.staging FOLDER [FOLDER ...]`.

Chest-sized scans of noise are written into the first folder and copied into the others, each in a
new folder that is removed at the end. In each folder the reads of a training are repeated: open
every scan and cut an epoch of crops, first uncached, then cached. On a file system in memory there
is no difference.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import print_machine
from nodulenet.imaging import Volume, write_scan
from nodulenet.settings import Recipe
from nodulenet.training.dataset import Sample, TrainingScan, cut_sample, load_scan

NODULE = 12
"""Side of the cube in every scan, voxels."""
GIGABYTE = 1e9


def main() -> None:
    """Print one line per folder."""
    options = parse()
    print_machine(["numpy", "numba"])
    print("| file system | copy, GB/s | open, uncached | cached | crop, uncached | cached | read |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with ExitStack() as stack:
        folders = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            for folder in options.folders
        ]
        source = folders[0] / "volumes"
        write_scans(source, options.scans, tuple(options.shape))
        for folder in folders:
            rate = copy_rate(source, folder / "copy")
            *row, read = measure(folder / "copy", options.scans)
            shutil.rmtree(folder / "copy")
            kind = subprocess.run(
                ["stat", "--file-system", "--format=%T", folder], capture_output=True, text=True
            )
            cells = [*(f"{1000 * seconds:.1f} ms" for seconds in row), f"{read:.1f} MB"]
            print(f"| {kind.stdout.strip()} | {rate:.2f} | {' | '.join(cells)} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--scans", type=int, default=30)
    parser.add_argument("--shape", type=int, nargs=3, default=(286, 206, 296))
    return parser.parse_args()


def write_scans(folder: Path, scans: int, shape: tuple[int, int, int]) -> None:
    """Write volumes (z, y, x) of noise with a labelled cube each, and wait for the disk."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(scans):
        labels = np.zeros(shape, np.uint8)
        start = [int(rng.integers(20, side - 20 - NODULE)) for side in shape]
        labels[tuple(slice(a, a + NODULE) for a in start)] = 1
        volume = Volume(rng.integers(0, 255, shape, np.uint8), np.eye(4))
        names = {
            "volume": f"{number}.npy",
            "record": f"{number}.json",
            "mask": f"{number}_mask.npy",
        }
        write_scan(
            {kind: folder / name for kind, name in names.items()}, volume, labels, {"status": "ok"}
        )
    os.sync()


def copy_rate(source: Path, target: Path) -> float:
    """Copy a folder whose files are not cached; GB/s until the copy is on its disk."""
    forget(source)
    begin = time.perf_counter()
    shutil.copytree(source, target)
    for path in target.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    size = sum(path.stat().st_size for path in target.iterdir())
    return size / GIGABYTE / (time.perf_counter() - begin)


def forget(folder: Path) -> None:
    """Drop a folder's files, which are on disk, from the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: Path, scans: int) -> list[float]:
    """Median seconds to open a scan and to cut a crop, each first cold and then again; MB of a cold
    crop that came from the disk."""
    timed_cut(timed_open(folder, 1)[1])  # compiles
    forget(folder)
    cold, loaded = timed_open(folder, scans)
    before = bytes_read()
    first = timed_cut(loaded)
    read = (bytes_read() - before) / scans / 1e6
    again = timed_cut(loaded)
    return [cold, timed_open(folder, scans)[0], first, again, read]


def bytes_read() -> int:
    """Bytes that this process has read from disks."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def timed_open(folder: Path, scans: int) -> tuple[float, list[TrainingScan]]:
    """Open the scans as in training."""
    rows = [
        {"series_uid": str(k), "volume": f"{k}.npy", "mask": f"{k}_mask.npy", "record": f"{k}.json"}
        for k in range(scans)
    ]
    return in_turn([partial(load_scan, folder, row) for row in rows])


def timed_cut(scans: list[TrainingScan]) -> float:
    """Cut the augmented crop of every scan's nodule, the same ones at every call."""
    rng = np.random.default_rng(0)
    samples = [Sample(number, 0) for number in range(len(scans))]
    cuts = [partial(cut_sample, scans, k, Recipe(), rng) for k in samples]
    return in_turn(cuts)[0]


def in_turn(calls: Sequence[Callable[[], Any]]) -> tuple[float, list[Any]]:
    """Median seconds of the calls, and their results."""
    seconds, results = [], []
    for call in calls:
        begin = time.perf_counter()
        results.append(call())
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), results


if __name__ == "__main__":
    main()
