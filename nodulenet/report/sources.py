"""What a report is made of: files of the workflow, and what the config says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from nodulenet.evaluation.results import ENSEMBLE
from nodulenet.evaluation.tables import read_scores


@dataclass(frozen=True)
class Sources:
    """Files below results/{cohort}.

    froc: evaluated stage -> froc.json; the headline and the gallery are of the first stage. Of that
    stage: predictions.csv, nodules.csv, false_positives.csv and the folders of masks in the order
    of the folds. readers: reader_pairs.json. figures: name of the file without suffix -> SVG.
    external: cohort tested on -> stage of the test -> froc.json, all networks together first, with
    the tables and the figure of rule `transfer` beside it.
    """

    manifest: Path
    folds: Path
    froc: Mapping[str, Path]
    predictions: Path
    nodules: Path
    false_positives: Path
    masks: Sequence[Path]
    ablation: Path
    readers: Path
    timings: Path
    figures: Mapping[str, Path]
    external: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """What the files do not say. synthetic: how many scans of the table are rendered, not real;
    outlined: whether nodules have outlines, or only positions and diameters; branches: evaluated
    stage -> its branches; external: cohort tested on -> how many of its scans are rendered, and the
    stage that is tested.
    """

    cohort: str
    synthetic: int
    outlined: bool
    branches: Mapping[str, Sequence[str]]
    external: Mapping[str, tuple[int, str]] = field(default_factory=dict)


def read_set(path: Path, denominator: str, columns: Sequence[str]) -> pd.DataFrame:
    """The rows of nodules.csv or false_positives.csv of the set `ensemble` and a denominator.

    Raises `CorruptArtefact` naming the file that is missing, damaged or lacks a column.
    """
    table = read_scores(path, ("set", "denominator", *columns), seriesuid="str")
    chosen = (table["set"] == ENSEMBLE) & (table["denominator"] == denominator)
    return table[chosen].reset_index(drop=True)
