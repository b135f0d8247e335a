"""A stage of a small cohort, its scores worked out by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from small_cohort import ball, build

from nodulenet.evaluation import evaluate_stage
from nodulenet.evaluation.tables import Origin
from nodulenet.files import InputError
from nodulenet.masks import CroppedMask, write_masks
from nodulenet.settings import FrocSettings

SETTINGS = FrocSettings(bootstrap=50)
ORIGIN = Origin("nodulenet/union/nearest/0.4", 3, "0123456789ab")


def evaluate(cohort, output, settings=SETTINGS):
    evaluate_stage(cohort, settings, ORIGIN, output)
    return json.loads((output / "froc.json").read_text())


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return folder, evaluate(build(folder), folder / "full")


def counts(content):
    return [content[k] for k in ("nodules", "found", "false_positives", "on_excluded", "scans")]


def test_counts_of_every_set(scored):
    _, content = scored
    # 3 nodules in 2 scans: two found; one mark of s1 on the excluded finding, one on nothing. The
    # mark in s2 is not scored. Without the mark that did not survive nothing changes for dfps.
    assert set(content["sets"]) == {"ensemble", "dfps", "ncs"}
    for result in content["sets"].values():
        assert counts(result) == [3, 2, 1, 1, 2]
    assert content["scans_without_nodules"] == 1
    assert content["protocol"] == "nodulenet"


def test_given_folds_are_noted(scored, tmp_path):
    assert scored[1]["given_folds"] == {}
    given, cohort = {"fold0": "ncs"}, build(tmp_path)
    evaluate_stage(cohort, SETTINGS, ORIGIN, tmp_path, given)
    assert json.loads((tmp_path / "froc.json").read_text())["given_folds"] == given


def test_operating_points_by_hand(scored):
    _, content = scored
    # ensemble, dfps: both nodules before the false positive, so 2/3 throughout. ncs: the false
    # positive (0.9) comes first; the curve is 0 up to 1/2 per scan and there rises to 2/3.
    assert content["sets"]["ensemble"]["sensitivity"] == pytest.approx([2 / 3] * 7)
    assert content["sets"]["dfps"]["cpm"] == pytest.approx(2 / 3)
    assert content["sets"]["ncs"]["sensitivity"] == pytest.approx([0, 0, 0, *[2 / 3] * 4])


def test_folds_are_scored_by_themselves(scored):
    folds = scored[1]["sets"]["ensemble"]["folds"]
    assert counts(folds["0"]) == [2, 1, 0, 0, 1]
    assert counts(folds["1"]) == [1, 1, 1, 1, 1]
    assert folds["0"]["cpm"] == pytest.approx(0.5)
    assert folds["1"]["cpm"] == pytest.approx(1)


def test_froc_csv_holds_every_set_and_fold(scored):
    table = pd.read_csv(scored[0] / "full/froc.csv")
    assert len(table) == 2 * 3 * 3 * 7
    assert set(table["fold"]) == {"pooled", "0", "1"}
    pooled = table[(table["set"] == "ncs") & (table["fold"] == "pooled")]
    headline = pooled[pooled["denominator"] == "with_nodules"]
    assert headline["sensitivity"].tolist() == pytest.approx([0, 0, 0, *[2 / 3] * 4], abs=1e-5)
    assert pooled[pooled["denominator"] == "all"]["scans"].tolist() == [3] * 7


def test_segmentation_by_hand(scored):
    folder, content = scored
    table = pd.read_csv(folder / "full/segmentation.csv")
    truth, mask = ball((30, 40, 45), 9), ball((30, 42, 46), 8)
    both = (truth & mask).sum()
    dice = [1, 0, 2 * both / (truth.sum() + mask.sum())]
    np.testing.assert_allclose(table["dice"], dice, rtol=1e-5)
    np.testing.assert_allclose(table["iou"][2], both / (truth | mask).sum(), rtol=1e-5)
    assert table["series_uid"].tolist() == ["s0", "s0", "s1"]
    assert table["fold"].tolist() == [0, 0, 1]
    assert table["diameter_mm"].tolist() == [13, 9, 19]
    assert table["row"].fillna(0).tolist() == [1, 0, 1]
    summary = content["segmentation"]
    assert summary["dice_all"] == pytest.approx(np.mean(dice))
    assert summary["dice_found"] == pytest.approx((dice[0] + dice[2]) / 2)
    assert summary["folds"]["0"]["dice_all"] == 0.5


def test_a_stage_without_the_second_branch_and_masks(tmp_path):
    cohort = build(tmp_path)
    table = pd.read_csv(cohort.predictions)
    dfps = [column for column in table if column.startswith("dfps_")]
    table[dfps] = np.nan
    table.assign(probability=table["ncs_probability"]).to_csv(cohort.predictions, index=False)
    for path in tmp_path.glob("fold*/full/masks/*.npz"):
        path.unlink()
    content = evaluate(cohort, tmp_path / "full")
    assert set(content["sets"]) == {"ensemble", "ncs"}
    assert content["sets"]["ensemble"] == content["sets"]["ncs"]
    assert content["segmentation"] is None
    assert pd.read_csv(tmp_path / "full/segmentation.csv").empty


def test_a_stage_without_a_candidate_scores_nothing_found(tmp_path):
    cohort = build(tmp_path)
    pd.read_csv(cohort.predictions).iloc[:0].to_csv(cohort.predictions, index=False)
    for fold, series in ((0, "s0"), (1, "s1")):
        write_masks({}, cohort.masks[fold] / f"{series}.npz")
    content = evaluate(cohort, tmp_path / "full")
    assert [result["cpm"] for result in content["sets"].values()] == [0, 0, 0]
    assert content["segmentation"]["dice_all"] == 0


def spoil_masks(cohort):
    (cohort.masks[1] / "s1.npz").unlink()


def spoil_row(cohort):
    write_masks({2: CroppedMask(np.ones((1, 1, 1), bool), (0, 0, 0))}, cohort.masks[0] / "s0.npz")
    table = pd.read_csv(cohort.predictions)
    table.drop(index=1).to_csv(cohort.predictions, index=False)


def spoil_marks(cohort):
    text = cohort.predictions.read_text().replace("s1,", "s9,")
    cohort.predictions.write_text(text)


def spoil_half_dfps(cohort):
    table = pd.read_csv(cohort.predictions)
    table.loc[0, "dfps_probability"] = np.nan
    table.to_csv(cohort.predictions, index=False)


def spoil_findings(cohort):
    path = cohort.manifest.parent / "nodules/s0.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")


def spoil_labels(cohort):
    path = cohort.manifest.parent / "volumes/s0_mask.npy"
    path.write_bytes(path.read_bytes()[:-5000])


def spoil_folds(cohort):
    cohort.folds.write_text("\n".join(cohort.folds.read_text().splitlines()[:-1]) + "\n")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (spoil_masks, "s1.npz"),
        (spoil_row, "s0.npz: row 2 of fold 0 is of another scan"),
        (spoil_marks, "predictions.csv: 1 scan.* not in the list of scans: s9"),
        (spoil_half_dfps, "predictions.csv: row 1: dfps_probability"),
        (spoil_findings, "s0.csv: nodules .1., the manifest counts 2"),
        (spoil_labels, "s0_mask.npy: damaged or cut short"),
        (spoil_folds, "folds.tsv: lacks scan s2"),
    ],
)
def test_faults_name_the_file(tmp_path, spoil, fault):
    cohort = build(tmp_path)
    spoil(cohort)
    with pytest.raises(InputError, match=fault):
        evaluate(cohort, tmp_path / "full")
    assert not (tmp_path / "full/froc.json").exists()


def test_the_challenge_s_protocol_needs_its_files(tmp_path):
    with pytest.raises(InputError, match=r"froc\.protocol is luna16, with 0 of LUNA16's 3 files"):
        evaluate(build(tmp_path), tmp_path / "full", FrocSettings(protocol="luna16"))


def test_marks_that_the_limit_cuts_are_counted_and_told(tmp_path, caplog):
    cohort = build(tmp_path)
    table = pd.read_csv(cohort.predictions)
    more = pd.concat([table[table["seriesuid"] == "s1"].iloc[:1]] * 120).assign(kept=0)
    more = more.assign(probability=0.1, ncs_probability=0.1, coordX=-99.0)
    pd.concat([table, more]).to_csv(cohort.predictions, index=False)
    content = evaluate(cohort, tmp_path / "full")
    ensemble = content["sets"]["ensemble"]
    cut = [(part["marks_cut"], part["scans_cut"]) for part in (ensemble, content["sets"]["dfps"])]
    assert cut == [(120, 1), (0, 0)]
    folds = ensemble["folds"].values()
    assert [(part["marks_cut"], part["scans_cut"]) for part in folds] == [(0, 0), (120, 1)]
    assert counts(ensemble) == [3, 2, 1, 1, 2]
    rows = pd.read_csv(tmp_path / "full/froc.csv").query("set == 'ncs' and fold == '1'")
    assert rows["marks_cut"].tolist() == [120] * 14
    lines = [r.getMessage() for r in caplog.records if "cut" in r.getMessage()]
    assert lines[0] == (
        "set ensemble, denominator with_nodules: 120 marks cut in 1 scans: of more than 100 in a"
        " scan only those above the 101st count"
    )
    assert len(lines) == 4  # ensemble and ncs, over the scans with nodules and over all


def test_the_average_precision_of_every_set_and_fold(scored):
    # Both nodules before the false positive, of three; ncs: the false positive comes first.
    folder, content = scored
    sets = content["sets"]
    assert sets["ensemble"]["average_precision"] == pytest.approx(2 / 3)
    assert sets["ncs"]["average_precision"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    folds = sets["ensemble"]["folds"]
    assert [folds[fold]["average_precision"] for fold in "01"] == pytest.approx([1 / 2, 1])
    table = pd.read_csv(folder / "full/froc.csv").query("set == 'ensemble' and fold == 'pooled'")
    # Over all scans the mark in s2, a false positive, comes before both.
    expected = [*[2 / 3] * 7, *[(1 / 2 + 2 / 3) / 3] * 7]
    assert table["average_precision"].tolist() == pytest.approx(expected)


def test_scores_tell_marks_apart_that_float32_does(tmp_path):
    cohort = build(tmp_path)
    table = pd.read_csv(cohort.predictions)
    table.loc[0, ["probability", "coordX"]] = 0.9999996, -69.8767
    table.to_csv(cohort.predictions, index=False)
    evaluate(cohort, tmp_path / "full")
    own = pd.read_csv(tmp_path / "full/nodules.csv").query("set == 'ensemble' and mark == 1")
    assert own["probability"].tolist() == [0.9999996] * 2
    assert own["mark_coordX"].tolist() == [-69.8767] * 2
