"""The small cohort's run with all that a report is made of: stage `full` with masks, and `ncs`."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import small_cohort

from nodulenet.cohort.timings import COLUMNS as TIMING_COLUMNS
from nodulenet.cohort.timings import write_timings
from nodulenet.evaluation import evaluate_stage
from nodulenet.evaluation.comparison import EvaluatedStage, compare_stages
from nodulenet.evaluation.readers import score_readers
from nodulenet.evaluation.tables import Origin
from nodulenet.report import About, Sources, write_report
from nodulenet.settings import FrocSettings

SAMPLES = 20
ORIGIN = Origin("nodulenet/union/nearest/0.4", 3, "0123456789ab")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><path d="M1 1h9"/></svg>'
FIGURES = ("froc", "ablation", "dice", "timings", "training_fold0", "training_fold1")
TIMINGS = (
    ("preprocess", "1.2", "", 30.0, 20.0, 300.0),
    ("preprocess", "1.3", "", 10.0, 8.0, 500.0),
    ("train", "", "fold0_full", 3540.0, 3564.0, 900.0),
)
ABOUT = About("small", 0, True, {"full": ["ncs", "dfps", "sr"], "ncs": ["ncs"]})
Protocol = Literal["nodulenet", "luna16"]
CHALLENGE = {
    "annotations.csv": "s0,-70,-70,-80,13\ns0,-30,-40,-60,9\n",
    "annotations_excluded.csv": "",
    "seriesuids.csv": "s0\ns1\ns9\n",
}


def build(
    folder: Path, protocol: Literal["nodulenet", "luna16"] = "nodulenet", **given: Any
) -> Sources:
    """Write the cohort, its scores and stand-ins for its figures below a folder."""
    cohort = small_cohort.build(folder)
    (folder / "ncs").mkdir()
    table = pd.read_csv(cohort.predictions)
    second = [name for name in table if name.startswith("dfps")]
    table.assign(**dict.fromkeys(second)).to_csv(folder / "ncs/predictions.csv", index=False)
    lists = challenge(folder) if protocol == "luna16" else []
    settings = FrocSettings(protocol=protocol, bootstrap=SAMPLES)
    for stage in ABOUT.branches:
        files = replace(cohort, predictions=folder / stage / "predictions.csv", challenge=lists)
        if stage == "ncs":
            files = replace(files, masks=[folder / "none"] * 2)
        evaluate_stage(files, settings, ORIGIN, folder / stage, given)
    score_readers(cohort.manifest, cohort.folds, ORIGIN, folder)
    stages = [
        EvaluatedStage(name, name, *(folder / name / f for f in ("froc.json", "scans.csv")))
        for name in ABOUT.branches
    ]
    readers = folder / "reader_pairs.json"
    compare_stages(stages, "ncs", readers, folder / "ablation.csv")
    write_timings(pd.DataFrame(TIMINGS, columns=list(TIMING_COLUMNS)), folder / "timings.tsv")
    for name in FIGURES:
        (folder / f"{name}.svg").write_text(SVG)
    return Sources(
        manifest=cohort.manifest,
        folds=cohort.folds,
        froc={name: folder / name / "froc.json" for name in ABOUT.branches},
        predictions=cohort.predictions,
        nodules=folder / "full/nodules.csv",
        false_positives=folder / "full/false_positives.csv",
        masks=cohort.masks,
        ablation=folder / "ablation.csv",
        readers=readers,
        timings=folder / "timings.tsv",
        figures={name: folder / f"{name}.svg" for name in FIGURES},
    )


def challenge(folder: Path) -> list[Path]:
    """LUNA16's tables: both nodules of s0, none of s1, a scan that the cohort lacks; not s2."""
    paths = []
    for name, text in CHALLENGE.items():
        paths.append(folder / name)
        head = "" if name == "seriesuids.csv" else "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
        paths[-1].write_text(head + text)
    return paths


def leave_out(sources: Sources, series: str, patient: str, reason: str) -> None:
    """Add a bad scan to the manifest, as `on_bad_scan: skip` would list it."""
    manifest = pd.read_csv(sources.manifest, sep="\t", dtype=str, keep_default_na=False)
    bad = manifest.iloc[0].to_dict() | {"series_uid": series, "patient_id": patient}
    bad |= {"status": reason, "n_nodules": "0", "n_kept": "0"}
    pd.concat([manifest, pd.DataFrame([bad])]).to_csv(sources.manifest, sep="\t", index=False)


def page(sources: Sources, output: Path, **changes: Any) -> str:
    """The page of some sources; changes: of `ABOUT`."""
    write_report(sources, replace(ABOUT, **changes), output)
    return output.read_text(encoding="utf-8")
