"""FROC and bootstrap: `python -m benchmarks.froc`.

The peer follows the steps of the LUNA16 challenge in plain Python: a loop over scans, nodules and
marks; for the bootstrap all of it for each sample (fewer samples).
"""

import argparse

import numpy as np
import pandas as pd

from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.evaluation import bootstrap, froc

RATES = np.array([0.125, 0.25, 0.5, 1, 2, 4, 8])
POSITION = ["coordX", "coordY", "coordZ"]
PEER_SAMPLES = 5


def main() -> None:
    options = parse()
    print_machine(["numpy", "pandas", "numba"])
    tables = submission(options)
    result = froc(*tables)
    assert abs(result.cpm - plain(*tables)) < 1e-9
    curve = time_in_turn(
        f"FROC, {options.scans} scans, {options.marks} marks, {options.findings} findings",
        {"ours": lambda: froc(*tables), "plain loops": lambda: plain(*tables)},
        options.repeats,
    )
    few = time_in_turn(
        f"{PEER_SAMPLES} bootstrap samples",
        {
            "ours": lambda: bootstrap(result, PEER_SAMPLES),
            "plain loops": lambda: [plain(*tables) for _ in range(PEER_SAMPLES)],
        },
        options.repeats,
    )
    many = time_in_turn("1,000 bootstrap samples", {"ours": lambda: bootstrap(result)})
    print_table([curve, few, many])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=888)
    parser.add_argument("--marks", type=int, default=47_500)
    parser.add_argument("--findings", type=int, default=36_000)
    parser.add_argument("--nodules", type=int, default=1186)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def submission(
    options: argparse.Namespace,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str]]:
    """Nodules and excluded findings, marks near the nodules and anywhere, and the scans."""
    rng = np.random.default_rng(0)
    scans = [f"1.2.{number}" for number in range(options.scans)]
    names = np.array(scans)

    def table(number: int, column: str, values: np.ndarray) -> pd.DataFrame:
        positions = pd.DataFrame(rng.uniform(-150, 150, (number, 3)), columns=POSITION)
        positions.insert(0, "seriesuid", names[rng.integers(0, len(names), number)])
        return positions.assign(**{column: values})

    nodules = table(options.nodules, "diameter_mm", rng.uniform(3, 30, options.nodules))
    others = options.findings - options.nodules
    diameters = np.where(rng.random(others) < 0.5, -1, rng.uniform(3, 10, others))
    excluded = table(others, "diameter_mm", diameters)
    marks = table(options.marks, "probability", rng.random(options.marks).round(6))
    near = min(len(nodules), len(marks))
    marks.loc[: near - 1, "seriesuid"] = nodules["seriesuid"].to_numpy()[:near]
    marks.loc[: near - 1, POSITION] = nodules[POSITION].to_numpy()[:near] + rng.normal(
        0, 2, (near, 3)
    )
    return nodules, excluded, marks, scans


def plain(
    nodules: pd.DataFrame, excluded: pd.DataFrame, marks: pd.DataFrame, scans: list[str]
) -> float:
    """CPM by the challenge's steps."""
    by_scan = [grouped(table, scans) for table in (nodules, excluded, marks)]
    hits: list[float] = []
    false: list[float] = []
    for scan in scans:
        own, others, candidates = (table[scan] for table in by_scan)
        if len(candidates) > 100:
            limit = sorted((mark[-1] for mark in candidates), reverse=True)[100]
            candidates = [mark for mark in candidates if mark[-1] > limit]
        rest = set(range(len(candidates)))
        for finding in own:
            found = [k for k, mark in enumerate(candidates) if is_hit(finding, mark)]
            rest -= set(found)
            if found:
                hits.append(max(candidates[k][-1] for k in found))
        for finding in others:
            rest -= {k for k in rest if is_hit(finding, candidates[k])}
        false += [candidates[k][-1] for k in rest]
    return mean_sensitivity(np.array(hits), np.array(false), len(nodules), len(scans))


def grouped(table: pd.DataFrame, scans: list[str]) -> dict[str, list[tuple[float, ...]]]:
    rows: dict[str, list[tuple[float, ...]]] = {scan: [] for scan in scans}
    for scan, *numbers in table.itertuples(index=False):
        rows[scan].append(tuple(numbers))
    return rows


def is_hit(finding: tuple[float, ...], mark: tuple[float, ...]) -> bool:
    diameter = 10.0 if finding[3] < 0 else finding[3]
    squared = sum((a - b) ** 2 for a, b in zip(finding[:3], mark[:3], strict=True))
    return squared < (diameter / 2) ** 2


def mean_sensitivity(hits: np.ndarray, false: np.ndarray, nodules: int, scans: int) -> float:
    thresholds = np.unique(np.concatenate([hits, false]))[::-1]
    recall = [0.0, *((hits >= threshold).sum() / nodules for threshold in thresholds)]
    rate = [0.0, *((false >= threshold).sum() / scans for threshold in thresholds)]
    grid = np.linspace(0.125, 8, 10001)
    values = np.interp(grid, rate, recall)
    return float(np.mean([values[np.abs(grid - target).argmin()] for target in RATES]))


if __name__ == "__main__":
    main()
