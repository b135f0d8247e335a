"""Which scans and nodules the scores leave out, each with its reason."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nodulenet.cohort.manifest import count_scans
from nodulenet.cohort.sources import ROWS
from nodulenet.evaluation.summary import cut_text
from nodulenet.evaluation.truth import LUNA16
from nodulenet.report.sources import SET, result
from nodulenet.report.tables import Table, count


def left_out_table(manifest: pd.DataFrame) -> Table | None:
    """The scans that could not be used, in the manifest's order; None where there is none."""
    bad = manifest[manifest["status"] != "ok"]
    rows = [(row["series_uid"], row["patient_id"], row["status"]) for row in bad.to_dict("records")]
    heads = ("series", "patient", "reason")
    return Table("Scans left out of everything", heads, rows, labels=3) if rows else None


def lost_table(manifest: pd.DataFrame) -> Table | None:
    """The nodules that are not, or not whole, in the prepared volume; None where there is none."""
    lost = manifest[manifest["lost"] != ""]
    rows = [(row["series_uid"], row["patient_id"], row["lost"]) for row in lost.to_dict("records")]
    heads = ("series", "patient", "what became of it")
    text = "Nodules cut by the preparation: they count in the scores and cannot be learned whole"
    return Table(text, heads, rows, labels=3) if rows else None


def warnings_table(manifest: pd.DataFrame) -> Table | None:
    """What is doubtful about scans that were used all the same; None where nothing is."""
    doubtful = manifest[manifest["warnings"] != ""].to_dict("records")
    rows = [(row["series_uid"], row["patient_id"], row["warnings"]) for row in doubtful]
    heads = ("series", "patient", "warning")
    return (
        Table("Scans that were used and should be looked at", heads, rows, labels=3)
        if rows
        else None
    )


def count_lines(manifest: pd.DataFrame, froc: Mapping[str, Any]) -> list[str]:
    """How the scans of the table become those of the headline, a sentence each.

    froc: content of a froc.json.
    """
    ok, left_out = count_scans(manifest)
    lines = [
        f"The scan table has {count(len(manifest), 'scan')} of"
        f" {count(manifest['patient_id'].nunique(), 'patient')}: {ok} used, {left_out} left out.",
        *source_lines(manifest),
    ]
    if froc["protocol"] == LUNA16:
        missing = froc["listed"] - froc["scans"]
        lines += [
            f"{count(froc['scans_not_listed'], 'used scan')} not on the challenge's list: predicted"
            " and not scored.",
            f"{count(missing, 'scan')} of the challenge's list not among the used scans.",
        ]
    else:
        lines.append(
            f"{count(froc['scans_without_nodules'], 'used scan')} without a nodule: not in the"
            " headline, whose scans all have one; in the CPM over all scans."
        )
    scored = result(froc)
    lines.append(
        f"{count(scored['on_excluded'], 'mark')} on findings that count neither way (set {SET}):"
        " dropped."
    )
    if text := cut_text(scored):
        lines.append(f"Set {SET}: {text}.")
    return lines


def source_lines(manifest: pd.DataFrame) -> list[str]:
    """Which rows of the tables of nodules reached a scan, and which scans have no annotations."""
    lines = []
    for row in manifest.drop_duplicates("annotations").to_dict("records"):
        matched, unmatched = (row[name] for name in ROWS)
        if matched or unmatched:
            lines.append(
                f"{row['annotations']}: {count(matched, 'row')} of scans of the table,"
                f" {unmatched} of other series, not used."
            )
    bare = int((manifest["annotations"] == "").sum())
    if bare:
        lines.append(f"{count(bare, 'scan')} without annotations, so without nodules.")
    return lines
