"""The scans of a cohort: what they are, and which scans and nodules the scores leave out."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd

from nodulenet.cohort.manifest import ROWS, count_scans
from nodulenet.evaluation.results import ENSEMBLE, FrocFile
from nodulenet.evaluation.subgroups import SIZES, UNKNOWN, ScanFacts, size_group
from nodulenet.evaluation.truth import LUNA16, ScoredScan
from nodulenet.imaging.findings import OUTLINED
from nodulenet.report.tables import NONE, TextTable, decimals, spread, with_noun

LEVELS = (1, 2, 3, 4)
LOST = "Nodules cut by the preparation: they count in the scores and cannot be learned whole"
LEDGER = (
    ("status", "ok", "reason", "Scans left out of everything"),
    ("lost", "", "what happened to it", LOST),
    ("warnings", "", "warning", "Scans that were used and should be looked at"),
)
"""Column of the manifest, its value where there is nothing to tell, head and caption."""


def scanner_table(facts: Sequence[ScanFacts]) -> TextTable:
    """How many scans are of each scanner, the most frequent first."""
    scans = Counter(one.scanner for one in facts)
    rows = [(name, str(number_of)) for name, number_of in scans.most_common()]
    return TextTable("Scanners, as the headers name them", ("scanner", "scans"), rows)


def spacing_table(facts: Sequence[ScanFacts]) -> TextTable:
    """Least, median and greatest pixel, slice step, slice thickness and number of slices."""
    thickness = [one.thickness_mm for one in facts if one.thickness_mm is not None]
    lines = {
        "pixel, mm": spread([max(one.spacing_mm[1:]) for one in facts], 3),
        "step between slices, mm": spread([one.spacing_mm[0] for one in facts], 2),
        f"slice thickness, mm (of {with_noun(len(thickness), 'scan')})": spread(thickness, 2),
        "slices": spread([one.slices for one in facts if one.slices is not None], 0),
    }
    rows = [(name, *values) for name, values in lines.items()]
    return TextTable("The CT before preparation", ("", "least", "median", "greatest"), rows)


def size_tables(findings: Mapping[str, pd.DataFrame], outlined: Collection[str]) -> list[TextTable]:
    """Consensus groups by size and level, and listed nodules by size if there are any.

    outlined: the scans whose nodules readers drew.
    """
    drawn = [table for scan, table in findings.items() if scan in outlined]
    listed = [table for scan, table in findings.items() if scan not in outlined]
    return [
        *([_size_table(drawn, _by_level)] if drawn else []),
        *([_size_table(listed, _by_size)] if listed else []),
    ]


def _size_table(findings: Sequence[pd.DataFrame], tabulate: Callable[..., TextTable]) -> TextTable:
    tables = [table[table["kind"].isin(OUTLINED)] for table in findings]
    groups = pd.concat(tables, ignore_index=True)
    names = [*SIZES, UNKNOWN] if groups.empty or (groups["diameter_mm"] < 0).any() else list(SIZES)
    diameters = groups["diameter_mm"] if len(groups) else pd.Series(dtype=float)
    return tabulate(groups, size_group(diameters), names)


def _by_level(groups: pd.DataFrame, size: pd.Series, names: Sequence[str]) -> TextTable:
    rows = []
    for name in (*names, "all"):
        here = groups if name == "all" else groups[size == name]
        cells = [str(int((here["level"] == level).sum())) for level in LEVELS]
        counted = int((here["kind"] == "nodule").sum())
        rows.append((name, *cells, str(counted)))
    heads = ("largest side", *(f"level {level}" for level in LEVELS), "nodules")
    text = "What readers drew, by size and consensus level; nodules are those that count"
    return TextTable(text, heads, rows)


def _by_size(groups: pd.DataFrame, size: pd.Series, names: Sequence[str]) -> TextTable:
    rows = [(name, str(int((size == name).sum()))) for name in names]
    rows.append(("all", str(len(groups))))
    return TextTable("Nodules by their listed diameter", ("diameter", "nodules"), rows)


def used_table(
    cohort: Sequence[ScoredScan], patients: Mapping[str, str], facts: Sequence[ScanFacts]
) -> TextTable:
    """One row per scan."""
    rows = [
        (
            scan.series_uid,
            patients[scan.series_uid],
            one.scanner,
            str(scan.fold),
            str(scan.nodules),
            NONE if one.slices is None else str(one.slices),
            " x ".join(decimals(step, 2) for step in one.spacing_mm),
        )
        for scan, one in zip(cohort, facts, strict=True)
    ]
    heads = ("series", "patient", "scanner", "fold", "nodules", "slices", "spacing z x y x x, mm")
    return TextTable("Every scan that was tested", heads, rows, labels=3)


def ledger(manifest: pd.DataFrame) -> list[TextTable]:
    """Scans that could not be used, nodules that are not whole in the prepared volume, and scans in
    doubt: a table each, in the manifest's order, where there are any.
    """
    tables = []
    for column, none, head, caption in LEDGER:
        rows = manifest.loc[manifest[column] != none, ["series_uid", "patient_id", column]]
        if len(rows):
            heads = ("series", "patient", head)
            told = list(rows.itertuples(index=False, name=None))
            tables.append(TextTable(caption, heads, told, labels=3))
    return tables


def count_lines(manifest: pd.DataFrame, froc: FrocFile, tested: int) -> list[str]:
    """How the scans of the table become those of the headline, one sentence each.

    tested: the number of used scans that are in a fold.
    """
    ok, left_out = count_scans(manifest)
    lines = [
        f"The scan table has {with_noun(len(manifest), 'scan')} of"
        f" {with_noun(manifest['patient_id'].nunique(), 'patient')}: {ok} used, {left_out} left"
        " out.",
        *source_lines(manifest),
    ]
    if tested < ok:
        only = with_noun(ok - tested, "used scan")
        lines.append(f"{only} trained on for every fold, predicted and scored for none.")
    if froc.protocol == LUNA16:
        missing = (froc.listed or 0) - froc.headline.scans
        unlisted = with_noun(froc.scans_not_listed or 0, "used scan")
        lines += [
            f"{unlisted} not on the challenge's list: predicted and not scored.",
            f"{with_noun(missing, 'scan')} of the challenge's list not among the used scans.",
        ]
    else:
        bare = with_noun(froc.scans_without_nodules or 0, "used scan")
        lines.append(
            f"{bare} without a nodule: not in the headline, whose scans all have one; in the CPM"
            " over all scans."
        )
    scored = froc.headline
    lines.append(
        f"{with_noun(scored.on_excluded, 'mark')} on findings that count neither way (set"
        f" {ENSEMBLE}): dropped."
    )
    if text := scored.cut_text:
        lines.append(f"Set {ENSEMBLE}: {text}.")
    return lines


def source_lines(manifest: pd.DataFrame) -> list[str]:
    """Which rows of the tables of nodules reached a scan, and which scans have no annotations."""
    lines = []
    for row in manifest.drop_duplicates("annotations").to_dict("records"):
        matched, unmatched = (row[name] for name in ROWS)
        if matched or unmatched:
            lines.append(
                f"{row['annotations']}: {with_noun(matched, 'row')} of scans of the table,"
                f" {unmatched} of other series, not used."
            )
    bare = int((manifest["annotations"] == "").sum())
    if bare:
        lines.append(f"{with_noun(bare, 'scan')} without annotations, so without nodules.")
    return lines
