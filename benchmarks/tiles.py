"""Detections of a scan predicted in tiles, compared with those of the whole scan.

python -m benchmarks.tiles results/demo [--stage full] [--folds 0] [--cores 64] [--halos 32 64]

Each fold's network predicts its held-out scans in float32. The cores of the tiles, and so the
seams, are the same for every halo. A finding (a kept box with a mean probability of at least a
half) agrees if the other prediction has one within half a voxel and 0.02 of its probability.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.predict import Found, candidates, findings
from benchmarks.timing import print_machine
from nodulenet.inference.fold import rows_of_fold
from nodulenet.inference.predictor import Member, Predictor, ScanPrediction
from nodulenet.inference.tiles import predict_volume, tiles
from nodulenet.model.device import to_device
from nodulenet.model.weights import load_weights
from nodulenet.settings import InferenceSettings


@dataclass
class Tally:
    """The detections of one tiling over all scans, and its cost."""

    agreed: int = 0
    findings: int = 0
    near: int = 0
    candidates: int = 0
    change: float = 0.0
    voxels: int = 0
    seconds: float = 0.0


def partners(ours: Found, whole: Found) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """For each detection: whether the whole scan has one within half a voxel, and the change."""
    if not len(ours[0]) or not len(whole[0]):
        return np.zeros(len(ours[0]), bool), np.zeros(len(ours[0]), np.float32)
    apart = np.linalg.norm(ours[0][:, None, :3] - whole[0][None, :, :3], axis=2)
    return apart.min(1) <= 0.5, np.abs(ours[1] - whole[1][apart.argmin(1)])


def count(tally: Tally, tiled: ScanPrediction, whole: ScanPrediction) -> None:
    """Add the agreement of one scan's predictions."""
    near, change = partners(findings(tiled), findings(whole))
    tally.agreed += int((near & (change <= 0.02)).sum())
    tally.findings += len(near)
    tally.change = max(tally.change, float(change[near].max(initial=0)))
    near, _ = partners(candidates(tiled), candidates(whole))
    tally.near += int(near.sum())
    tally.candidates += len(near)


def measure(member: Member, volume: NDArray[np.uint8], ways: dict[tuple[int, int], Tally]) -> Tally:
    """Predict a volume at once and with each tiling; the tally of the whole."""
    start = time.process_time()
    whole = predict_volume(Predictor([member], InferenceSettings(), amp=False), volume)
    seconds = time.process_time() - start
    for (core, halo), tally in ways.items():
        side = core + 2 * halo
        start = time.process_time()
        by_tiles = Predictor([member], InferenceSettings(tile=side, halo=halo), amp=False)
        tiled = predict_volume(by_tiles, volume)
        tally.seconds += time.process_time() - start
        tally.voxels += sum(volume[window].size for _, window in tiles(volume.shape, side, halo))
        count(tally, tiled, whole)
    return Tally(
        findings=len(findings(whole)[0]),
        candidates=len(whole.ncs_boxes),
        voxels=volume.size,
        seconds=seconds,
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished cohort")
    parser.add_argument("--stage", default="full")
    parser.add_argument("--cores", type=int, nargs="+", default=[64])
    parser.add_argument("--halos", type=int, nargs="+", default=[32, 48, 64, 96])
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print_machine(["torch"])
    ways = {(core, halo): Tally() for core in options.cores for halo in options.halos}
    total = Tally()
    for fold in options.folds:
        net, provenance = load_weights(
            options.results / f"fold{fold}" / options.stage / "weights.pt"
        )
        to_device(net.eval(), torch.device("cpu"))
        for row in rows_of_fold(
            options.results / "manifest.tsv", options.results / "folds.tsv", fold
        ):
            volume = np.load(options.results / row["volume"])
            one = measure(Member(net, provenance), volume, ways)
            for name in ("findings", "candidates", "voxels", "seconds"):
                setattr(total, name, getattr(total, name) + getattr(one, name))
    print(f"whole: {total.findings} findings of {total.candidates} candidates\n")
    print(
        "| core | halo | tile | findings that agree | largest change of a probability "
        "| candidates within 0.5 voxel | voxels computed | processor time |"
    )
    print("|" + " --- |" * 8)
    for (core, halo), t in ways.items():
        print(
            f"| {core} | {halo} | {core + 2 * halo} | {t.agreed} of {t.findings} | {t.change:.4f}"
            f" | {t.near} of {t.candidates} | {t.voxels / total.voxels:.2f}"
            f" | {t.seconds / total.seconds:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
