"""Draw the same predictions under both protocols: `python docs/protocols.py RESULTS OUTPUT`.

RESULTS is the folder of a finished cohort, results/demo for the figure of docs/evaluation.md. Its
scans are not on LUNA16's list, so the challenge's three tables are imitated here from the cohort's
own findings: nodules at the centroid of their mask with the diameter of a sphere of its volume;
groups of fewer readers likewise, but excluded; marks without outline with diameter -1.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd

from nodulenet.annotations.challenge_csv import FINDING_COLUMNS, POSITION
from nodulenet.evaluation.results import cpm_text
from nodulenet.evaluation.stage import Scored, score
from nodulenet.evaluation.truth import read_cohort, read_findings, read_stage, read_truths
from nodulenet.plots.froc import scale_to_rates
from nodulenet.plots.style import BLUE, SKY, VERMILION, drawing
from nodulenet.settings import FrocSettings

LOOKS = {
    ("nodulenet", "with_nodules"): ("nodulenet, scans with nodules", BLUE, "-"),
    ("nodulenet", "all"): ("nodulenet, all scans", SKY, "--"),
    ("luna16", "all"): ("luna16 (lists imitated), all scans", VERMILION, "-"),
}


def main() -> None:
    results, output = map(Path, sys.argv[1:])
    cohort = read_cohort(results / "manifest.tsv", results / "folds.tsv")
    findings = read_findings(cohort)
    marks = read_stage(results / "full/predictions.csv", cohort)
    scored = {}
    with tempfile.TemporaryDirectory() as folder:
        official = imitate_challenge(pd.concat(findings.values()), list(findings), Path(folder))
        for protocol in ("nodulenet", "luna16"):
            truths, _ = read_truths(protocol, cohort, findings, results / "manifest.tsv", official)
            for truth in truths:
                scored[protocol, truth.denominator] = score(
                    "ensemble", truth, marks, FrocSettings()
                )
    draw(scored, output)


def imitate_challenge(findings: pd.DataFrame, scans: list[str], folder: Path) -> list[Path]:
    """Write annotations, excluded findings and list of scans in the challenge's formats."""
    outlined = findings["equivalent_diameter_mm"] > 0
    table = findings[list(FINDING_COLUMNS)].copy()
    for column in POSITION:
        centroid = findings[column.replace("coord", "centroid")]
        table[column] = table[column].where(~outlined, centroid)
    table["diameter_mm"] = findings["equivalent_diameter_mm"].where(outlined, -1)
    nodule = findings["kind"] == "nodule"
    paths = [folder / name for name in ("annotations.csv", "excluded.csv", "seriesuids.csv")]
    table[nodule].to_csv(paths[0], index=False)
    table[~nodule].to_csv(paths[1], index=False)
    paths[2].write_text("".join(f"{scan}\n" for scan in scans))
    return paths


def draw(scored: dict[tuple[str, str], Scored], output: Path) -> None:
    """One panel with a curve for each protocol and denominator; prints their numbers."""
    with drawing(output, 5.2, 3.9) as figure:
        axes = figure.subplots()
        for key, (label, colour, line) in LOOKS.items():
            summary = scored[key].summary
            text = f"{label}: {cpm_text(summary.cpm, summary.interval)}"
            counts = [f"{k} {getattr(summary, k)}" for k in ("scans", "nodules", "found")]
            print(text, *counts, sep=", ")
            curve = summary.curve
            axes.plot(curve["rate"], curve["sensitivity"], line, color=colour, label=text)
        scale_to_rates(axes)
        axes.set_xlabel("false positives per scan")
        axes.set_ylabel("sensitivity")
        axes.legend(loc="lower right", title="protocol: CPM [95 % interval]", title_fontsize=8)


if __name__ == "__main__":
    main()
