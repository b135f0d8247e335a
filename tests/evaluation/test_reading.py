"""Tables parsed in one go are what the reader of single tables gives, or are not parsed at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_cohort import build

from nodulenet.annotations.challenge_csv import parse_together, read_table
from nodulenet.evaluation import truth
from nodulenet.evaluation.truth import LABELLED_COLUMNS, ScoredScan, read_cohort, read_findings
from nodulenet.files import CorruptArtefact
from nodulenet.scan_table import NO_FOLD

HEAD = b"series_uid,label,coordX,coordY,coordZ,diameter_mm,kind,readers\n"
ROW = b"1.20,1,-1.5,2.25,3.125,7.123456789012345,nodule,\n"


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=8))
def test_numbers_are_those_of_the_reader_of_one_table(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    columns = list(LABELLED_COLUMNS)
    table = pd.DataFrame(rows, columns=columns[2:])
    table.insert(0, "series_uid", "1.20")
    table.insert(1, "label", np.arange(len(rows)))
    table.to_csv(path, index=False)
    content = path.read_bytes()
    head = content[: content.find(b"\n") + 1]
    halves = [head + b"".join(content.splitlines(True)[1:2]), head]
    halves.append(head + b"".join(content.splitlines(True)[2:]))
    together = parse_together(halves, columns)
    assert together is not None
    pd.testing.assert_frame_equal(together, read_table(path, columns), check_dtype=False)


@pytest.mark.parametrize(
    "files",
    [
        [],
        [b""],
        [HEAD + ROW, HEAD.replace(b"kind", b"sort") + ROW],
        [HEAD + ROW[:-1]],
        [HEAD + ROW[:-10]],
        [HEAD + ROW.replace(b",nodule,", b"\n")],
        [HEAD + ROW.replace(b"1.20", b'"1,2"')],
        [HEAD + ROW.replace(b"1.20", b"")],
        [HEAD + ROW.replace(b"2.25", b"nan")],
        [HEAD + ROW.replace(b"2.25", b"two")],
        [HEAD + ROW + b"\n" + ROW],
        # One cell too few in a row and one too many in the next.
        [HEAD + ROW.replace(b"2.25,", b"") + ROW.replace(b"2.25", b"2.25,0")],
    ],
)
def test_what_is_amiss_is_left_to_the_other_reader(files: list[bytes]) -> None:
    assert parse_together([HEAD + ROW], LABELLED_COLUMNS) is not None
    assert parse_together(files, LABELLED_COLUMNS) is None


@pytest.fixture
def cohort(tmp_path: Path) -> list[ScoredScan]:
    paths = build(tmp_path)
    return read_cohort(paths.manifest, paths.folds)


def test_scans_in_no_fold_are_not_scored(tmp_path: Path) -> None:
    paths = build(tmp_path)
    table = paths.folds.read_text().replace("s0\tps0\t0", "s0\tps0\ttrain")
    paths.folds.write_text(table)
    assert [s.series_uid for s in read_cohort(paths.manifest, paths.folds)] == ["s1", "s2"]
    every = read_cohort(paths.manifest, paths.folds, untested=True)
    assert [scan.fold for scan in every] == [NO_FOLD, 1, 1]


def test_findings_of_all_scans_are_those_of_each(cohort: list[ScoredScan]) -> None:
    together = truth._read_together(cohort)
    assert together is not None
    assert list(together) == [scan.series_uid for scan in cohort]
    for scan in cohort:
        alone = truth._read_one(scan)
        pd.testing.assert_frame_equal(together[scan.series_uid], alone, check_dtype=False)


@pytest.mark.parametrize("change", [1, -1])
def test_a_scan_with_other_nodules_than_the_manifest_counts_is_named(
    cohort: list[ScoredScan], change: int
) -> None:
    # The first scan has two nodules, the second one: their sum is right.
    wrong = [replace(cohort[0], nodules=2 - change), replace(cohort[1], nodules=1 + change)]
    with pytest.raises(CorruptArtefact, match=r"s0\.csv: nodules \[1, 2\], the manifest counts"):
        read_findings([*wrong, *cohort[2:]])
