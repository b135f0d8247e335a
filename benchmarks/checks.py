"""The checks of HU and outlines, applied to scans: `python -m benchmarks.checks results/demo`.

Each scan of the preprocessed cohorts is used as it is and in seven copies mirrored along z, y and x
without a change of the header: contrasts of nodules, and the number of warnings.
"""

import argparse
from pathlib import Path

import numpy as np

from nodulenet.cohort import read_manifest
from nodulenet.files import read_json
from nodulenet.imaging import Volume, misfit, read_nodules, read_volume, segment_lungs, standard
from nodulenet.imaging.checks import MIRRORS, contrast, lung_parts, medians
from nodulenet.imaging.masks import Nodule
from nodulenet.imaging.orientation import turned_mask


def main() -> None:
    """Print one line per scan and the sums over all scans and over all single nodules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohorts", nargs="+", type=Path, help="folders with a manifest.tsv")
    seen: dict[str, list[np.ndarray]] = {"scans": [], "nodules": []}
    for cohort in parser.parse_args().cohorts:
        for row in read_manifest(cohort / "manifest.tsv").itertuples():
            record = read_json(cohort / row.record)
            scan, _ = standard(read_volume(record["source"], row.series_uid))
            parts = lung_parts(scan, lungs_of(record, scan))
            facts = [f"median {value:.0f} HU" for value in medians(*parts)]
            held, _ = read_nodules(cohort / row.nodules, cohort / row.findings)
            nodules = [nodule for nodule in held if nodule[0] > 0]
            if nodules:
                seen["scans"].append(look(scan, nodules))
                seen["nodules"] += [look(scan, [nodule]) for nodule in nodules]
                own, *others = seen["scans"][-1][0]
                facts.append(
                    f"contrast {own:.0f} HU, mirrored {min(others):.0f} to {max(others):.0f}"
                )
            print(f"{row.series_uid[-8:]}: in the lungs, around: {'; '.join(facts)}")
    for name, lines in seen.items():
        report(name, np.array(lines))


def lungs_of(record: dict, scan: Volume) -> np.ndarray:
    """The lungs used in the preprocessing of the scan."""
    if not record["lung_mask"]:
        return segment_lungs(scan)
    return np.asarray(standard(read_volume(record["lung_mask"]))[0].array)


def look(scan: Volume, nodules: list[Nodule]) -> np.ndarray:
    """Contrast at the right and the seven mirrored positions; whether each copy gives a warning."""
    shape, order = scan.array.shape, (0, 1, 2)
    warned = []
    for flips in ((), *MIRRORS):
        moved = [(n, turned_mask(m, (order, flips), shape)) for n, m in nodules]
        warned.append(bool(misfit(scan, moved)))
    return np.array([[contrast(scan, nodules, flips) for flips in ((), *MIRRORS)], warned])


def report(name: str, lines: np.ndarray) -> None:
    """Contrasts and warnings over (n, 2, 8)."""
    own, others = lines[:, 0, 0], lines[:, 0, 1:].ravel()
    print(
        f"{len(lines)} {name}: contrast {own.min():.0f} to {own.max():.0f} HU, at mirrored places"
        f" {np.nanmin(others):.0f} to {np.nanmax(others):.0f}, {(others >= 200).sum()} of"
        f" {len(others)} at least 200; warned of {lines[:, 1, 0].sum():.0f} as they are, of"
        f" {lines[:, 1, 1:].sum():.0f} of {lines[:, 1, 1:].size} mirrored copies"
    )


if __name__ == "__main__":
    main()
