"""What the report says in words and numbers, worked out by hand for the small cohort."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_report
from small_report import ABOUT

from nodulenet.cohort.manifest import read_manifest
from nodulenet.evaluation.results import rate_text, read_froc
from nodulenet.evaluation.subgroups import ScanFacts, scanner_text
from nodulenet.plots.ablation import read_ablation
from nodulenet.report.cohort import (
    count_lines,
    ledger,
    scanner_table,
    size_tables,
    spacing_table,
)
from nodulenet.report.headline import caveats, headline, protocol_text, sensitivity_table
from nodulenet.report.scores import ablation_table, fold_table, segmentation_table, timing_table
from nodulenet.report.tables import decimals, spread, with_interval, with_noun


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return small_report.build(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def frocs(sources):
    return {name: read_froc(path) for name, path in sources.froc.items()}


def rows(table):
    """The rows of a table by their labels."""
    return {row[: table.labels]: list(row[table.labels :]) for row in table.rows}


def test_numbers_as_text():
    assert decimals(0.12345) == "0.123"
    assert decimals(0.5, 2, sign=True) == "+0.50"
    assert decimals(None) == decimals(float("nan")) == "-"
    assert with_interval(0.5, 0.25, 1) == "0.500 [0.250, 1.000]"
    assert with_interval(0.5, None, None) == with_interval(0.5, np.nan, np.nan) == "0.500"
    assert with_interval(None, None, None) == "-"
    assert [with_noun(n, "scan") for n in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]
    assert [rate_text(rate) for rate in (0.125, 0.5, 1, 8)] == ["1/8", "1/2", "1", "8"]
    assert spread([3, 1, np.nan, 2], 1) == ("1.0", "2.0", "3.0")
    assert spread([], 1) == ("-", "-", "-")


def test_headline_of_the_small_cohort(sources, frocs):
    # Two of three nodules are hit above every false positive: 2/3 at each rate.
    told = headline(ABOUT, frocs, read_ablation(sources.ablation))
    assert (told.stage, told.cpm) == ("full", "0.667")
    low, high = frocs["full"].headline.interval
    assert told.interval == f"95 % interval {low:.3f} to {high:.3f}"
    assert told.protocol == (
        "Protocol nodulenet: nodules of 3 readers' marks or more (nodulenet/union/nearest/0.4),"
        " over the scans that have one (2 scans with 3 nodules)."
    )
    assert told.facts[0] == "sensitivity at 1 false positive per scan: 0.667"
    assert told.facts[1] == "2 of 3 nodules were hit by a mark"
    # One false positive comes first over three scans: nothing below 1/3 per scan, 2/3 above.
    assert told.facts[3].startswith("over all 3 scans, those without nodules too: CPM 0.476")
    published = rows(told.published)
    assert len(published) == 6
    gain = published["CPM less that of detection alone", told.published.rows[0][1]]
    assert gain[0] == "+0.103"
    assert gain[1].startswith("+0.000 [")
    deep = published["CPM, protocol luna16", "DeepLung"]
    assert deep[0] == "0.842"
    assert deep[1].startswith("0.667")
    assert deep[1].endswith(", protocol nodulenet")


def test_caveats_name_what_does_not_compare(frocs):
    def told(**changes):
        return " ".join(caveats(replace(ABOUT, **changes), frocs))

    assert "synthetic" not in told()
    assert "only with the same scans" in told()
    assert "those of protocol nodulenet do not compare" in told()
    assert "synthetic" in told(synthetic=3)
    assert "positions and diameters alone" in told(outlined=False)
    assert "No evaluated stage segments" in told(branches={"full": ["ncs", "dfps"]})
    given = frocs | {"full": replace(frocs["full"], given_folds={"fold0": "full", "fold1": "ncs"})}
    text = " ".join(caveats(ABOUT, given))
    assert "Stage full: the weights of fold0, fold1 (of stage ncs) were given" in text


def test_the_challenge_s_protocol_is_said(tmp_path):
    sources = small_report.build(tmp_path, "luna16")
    froc = read_froc(sources.froc["full"])
    assert "over the 2 of its 3 listed scans that were used" in protocol_text(froc)
    told = headline(ABOUT, {"full": froc}, read_ablation(sources.ablation))
    assert "Only 2 of the challenge's 3 scans were scored" in " ".join(told.caveats)
    assert not rows(told.published)["CPM, protocol luna16", "DeepLung"][1].endswith("luna16")
    lines = " ".join(count_lines(read_manifest(sources.manifest), froc, 3))
    assert "1 used scan not on the challenge's list" in lines
    assert "1 scan of the challenge's list not among the used scans" in lines


def test_undefined_scores_are_dashes(frocs, sources):
    empty = {"cpm": None, "interval": [None, None], "sensitivity": [None] * 7, "nodules": 0}
    sets = {name: replace(held, **empty) for name, held in frocs["full"].sets.items()}
    froc = replace(frocs["full"], sets=sets)
    told = headline(ABOUT, {"full": froc}, read_ablation(sources.ablation))
    assert (told.cpm, told.interval) == ("-", "")
    assert set(sensitivity_table({"full": froc}).rows[0][2:10]) == {"-"}


def test_sensitivity_of_every_set(frocs):
    table = sensitivity_table(frocs)
    assert list(rows(table)) == [
        ("full", "ensemble"), ("full", "dfps"), ("full", "ncs"), ("ncs", "ncs")
    ]  # fmt: skip
    ensemble = rows(table)["full", "ensemble"]
    assert ensemble[:7] == ["0.667"] * 7
    assert ensemble[8:] == ["2 of 3", "1"]


def test_stages_masks_and_folds(sources, frocs):
    stages = rows(ablation_table(read_ablation(sources.ablation)))
    assert stages["ncs", "ncs"][1:] == ["-", "-", "-"]
    assert stages["full", "full"][1].startswith("+0.000 [")
    readers = json.loads(sources.readers.read_text())
    table = segmentation_table(frocs, readers)
    masks = rows(table)
    means = frocs["full"].segmentation
    assert masks["full, nodules found",][:2] == ["2 of 3", f"{means['dice_found']:.3f}"]
    # The mask of s0 is exact and s1's is not, so that the mean is above a half; s0's second
    # nodule has none.
    assert means["dice_all"] == pytest.approx(means["dice_found"] * 2 / 3)
    assert masks["full, missed as 0",][1] == f"{means['dice_all']:.3f}"
    assert masks["reader against reader",][:2] == ["3", f"{readers['readers']['dice']:.3f}"]
    assert segmentation_table({"ncs": frocs["ncs"]}, readers) is None
    folds = fold_table(frocs)
    assert folds.heads == ("fold", "scans", "nodules", "CPM full", "CPM ncs", "Dice full")
    assert [row[:4] for row in folds.rows] == [
        ("0", "1", "2", "0.500 [0.500, 0.500]"), ("1", "1", "1", "1.000 [1.000, 1.000]")
    ]  # fmt: skip


def test_timings_by_rule():
    names = ["rule", "series_uid", "part", "seconds", "cpu_seconds", "peak_mb"]
    table = timing_table(pd.DataFrame(small_report.TIMINGS, columns=names))
    assert table.rows == [
        ("train", "1", "3540.0", "3564.0", "900"),
        ("preprocess", "2", "40.0", "28.0", "500"),
        ("all", "3", "3580.0", "3592.0", "900"),
    ]


def test_scans_left_out_and_lost_nodules(sources, frocs, tmp_path):
    manifest = read_manifest(sources.manifest)
    assert ledger(manifest) == []
    lines = count_lines(manifest, frocs["full"], 3)
    assert lines[0] == "The scan table has 3 scans of 3 patients: 3 used, 0 left out."
    assert lines[1].startswith("1 used scan without a nodule")
    assert lines[2].startswith("1 mark on findings that count neither way")
    copy = replace(sources, manifest=tmp_path / "manifest.tsv")
    copy.manifest.write_bytes(sources.manifest.read_bytes())
    small_report.leave_out(copy, "s3", "ps3", "a slice is missing")
    manifest = read_manifest(copy.manifest)
    manifest.loc[0, "lost"] = "nodule 1 outside"
    manifest.loc[1, "warnings"] = "its voxels may not be HU"
    left_out, lost, doubtful = ledger(manifest)
    assert left_out.rows == [("s3", "ps3", "a slice is missing")]
    assert lost.rows == [("s0", "ps0", "nodule 1 outside")]
    assert doubtful.rows == [("s1", "ps1", "its voxels may not be HU")]
    assert [table.heads[2] for table in (left_out, lost, doubtful)] == [
        "reason", "what happened to it", "warning"
    ]  # fmt: skip
    lines = count_lines(manifest, frocs["full"], 2)
    assert "4 scans of 4 patients: 3 used, 1 left out" in lines[0]
    assert lines[1] == "1 used scan trained on for every fold, predicted and scored for none."


def groups(*values):
    """Findings of one scan: (kind, level, diameter_mm)."""
    return pd.DataFrame(values, columns=["kind", "level", "diameter_mm"])


def test_nodules_by_size_and_level():
    findings = {
        "a": groups(("nodule", 3, 6.0), ("below_level", 1, 5.9), ("small", 0, -1.0)),
        "b": groups(("nodule", 4, 31.0), ("nodule", 4, 9.9)),
    }
    listed = {"c": groups(("nodule", 4, 10.0), ("nodule", 4, -1.0))}
    drawn, cubes = size_tables(findings | listed, outlined={"a", "b"})
    assert rows(drawn) == {
        ("under 6 mm",): ["1", "0", "0", "0", "0"],
        ("6 to 10 mm",): ["0", "0", "1", "1", "2"],
        ("10 to 20 mm",): ["0", "0", "0", "0", "0"],
        ("20 to 30 mm",): ["0", "0", "0", "0", "0"],
        ("30 mm or more",): ["0", "0", "0", "1", "1"],
        ("all",): ["1", "0", "1", "2", "3"],
    }
    assert rows(cubes) == {
        ("under 6 mm",): ["0"],
        ("6 to 10 mm",): ["0"],
        ("10 to 20 mm",): ["1"],
        ("20 to 30 mm",): ["0"],
        ("30 mm or more",): ["0"],
        ("size not given",): ["1"],
        ("all",): ["2"],
    }
    (empty,) = size_tables({"a": groups()}, outlined={"a"})
    assert rows(empty)["all",] == ["0"] * 5


def test_scanners_and_spacing():
    assert scanner_text({"manufacturer": "GE", "model": "LightSpeed"}) == "GE LightSpeed"
    assert scanner_text({"manufacturer": None, "model": None}) == "not in the file"
    facts = [
        ScanFacts("GE", 2.5, 100, (2.5, 0.7, 0.7)),
        ScanFacts("not in the file", None, 300, (1.0, 0.8, 0.8)),
        ScanFacts("GE", 1.25, 200, (1.25, 0.5, 0.5)),
    ]
    assert scanner_table(facts).rows == [("GE", "2"), ("not in the file", "1")]
    assert rows(spacing_table(facts)) == {
        ("pixel, mm",): ["0.500", "0.700", "0.800"],
        ("step between slices, mm",): ["1.00", "1.25", "2.50"],
        ("slice thickness, mm (of 2 scans)",): ["1.25", "1.88", "2.50"],
        ("slices",): ["100", "200", "300"],
    }


def test_what_was_cut_and_what_reached_no_scan_is_told_where_there_is_any(sources, frocs):
    manifest, froc = read_manifest(sources.manifest), frocs["full"]
    plain = count_lines(manifest, froc, 3)
    assert not any("cut" in line or "row" in line or "annotations" in line for line in plain)
    told = manifest.assign(annotations=["a.csv", "a.csv", ""], rows_matched=[3, 3, 0])
    told["rows_unmatched"] = [1, 1, 0]
    scored = replace(froc.headline, marks_cut=130, scans_cut=2)
    cut = replace(froc, sets={"ensemble": scored})
    assert [line for line in count_lines(told, cut, 3) if line not in plain] == [
        "a.csv: 3 rows of scans of the table, 1 of other series, not used.",
        "1 scan without annotations, so without nodules.",
        "Set ensemble: 130 marks cut in 2 scans: of more than 100 in a scan only those above the"
        " 101st count.",
    ]
