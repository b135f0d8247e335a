"""Costs of a run, by rule and by scan: `python -m benchmarks.costs results/demo logs/demo`.

The first table has the jobs' time and memory from their benchmarks and logs, the second the size of
their files, each also divided by the number of ok scans in the manifest.
"""

import argparse
from pathlib import Path

import pandas as pd

from nodulenet.cohort.manifest import read_manifest
from nodulenet.cohort.timings import gather_timings

MEGABYTE = 1e6


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder of the cohort, such as results/demo")
    parser.add_argument("logs", type=Path, help="folder of its logs, such as logs/demo")
    options = parser.parse_args()
    manifest = read_manifest(options.results / "manifest.tsv")
    scans = int((manifest["status"] == "ok").sum())
    jobs = gather_timings(options.logs, set(manifest["series_uid"]))
    print_table(by_rule(jobs, scans))
    print()
    print_table(by_folder(options.results, scans))


def by_rule(jobs: pd.DataFrame, scans: int) -> pd.DataFrame:
    """Jobs, mean seconds per job, CPU seconds per scan and maximum peak memory, by rule."""
    groups = jobs.groupby("rule")
    return pd.DataFrame(
        {
            "jobs": groups.size(),
            "wall, s per job": groups["seconds"].mean().round(2),
            "CPU, s per job": groups["cpu_seconds"].mean().round(2),
            "CPU, s per scan": (groups["cpu_seconds"].sum() / scans).round(2),
            "peak memory, MB": groups["peak_mb"].max().round(),
        }
    ).rename_axis("rule")


def by_folder(results: Path, scans: int) -> pd.DataFrame:
    """Files and megabytes of each folder of the results, over all folds, and per scan."""
    rows: dict[str, list[float]] = {}
    for path in results.rglob("*"):
        if path.is_file():
            row = rows.setdefault(place(path.relative_to(results)), [0, 0.0])
            row[0] += 1
            row[1] += path.stat().st_size / MEGABYTE
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["files", "MB"]).sort_index()
    table["MB per scan"] = (table["MB"] / scans).round(3)
    return table.round({"MB": 1}).astype({"files": int}).rename_axis("below results")


def place(path: Path) -> str:
    """The category of a file: its folder or, in a fold's stages, its kind."""
    if not path.parts[0].startswith("fold") or len(path.parts) < 3:
        return f"{path.parts[0]}/" if len(path.parts) > 1 else "tables"
    kind = path.parts[2]
    return f"fold*/*/{kind}{'/' if len(path.parts) > 3 else ''}"


def print_table(table: pd.DataFrame) -> None:
    """As Markdown."""
    print(f"| {table.index.name} | {' | '.join(table.columns)} |")
    print("| --- " * (1 + len(table.columns)) + "|")
    for name, row in table.iterrows():
        cells = [f"{value:,.10g}" for value in row]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
