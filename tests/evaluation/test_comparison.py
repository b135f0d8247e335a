"""Stages of the small cohort side by side, and the agreement of its readers."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_cohort import ball, build

from nodulenet.evaluation import evaluate_stage
from nodulenet.evaluation.bootstrap import paired_bootstrap
from nodulenet.evaluation.comparison import EvaluatedStage, compare_stages
from nodulenet.evaluation.froc import froc
from nodulenet.evaluation.readers import score_readers
from nodulenet.evaluation.tables import Origin
from nodulenet.evaluation.truth import consensus_truths, read_cohort, read_findings, read_stage
from nodulenet.files import InputError
from nodulenet.settings import FrocSettings

SETTINGS = FrocSettings(bootstrap=200)
ORIGIN = Origin("nodulenet/union/nearest/0.4", 3, "0" * 12)
NODULES = [((20, 30, 30), 6), ((40, 60, 70), 4), ((30, 40, 45), 9)]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The stage `full` of the cohort and `blind`, that misses the nodule of s1 and has no masks."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = build(folder)
    score_readers(cohort.manifest, cohort.folds, ORIGIN, folder)
    evaluate_stage(cohort, SETTINGS, ORIGIN, folder / "full")
    table = pd.read_csv(cohort.predictions)
    (folder / "blind").mkdir()
    table.drop(index=2).to_csv(folder / "blind/predictions.csv", index=False)
    blind = replace(
        cohort, predictions=folder / "blind/predictions.csv", masks=[folder / "none"] * 2
    )
    evaluate_stage(blind, SETTINGS, ORIGIN, folder / "blind")
    compare(folder)
    return folder


def compare(folder, frocs=("full/froc.json", "blind/froc.json")):
    stages = [
        EvaluatedStage(name, f"ncs > {name}", folder / froc, folder / name / "scans.csv")
        for name, froc in zip(("full", "blind"), frocs, strict=True)
    ]
    compare_stages(stages, "blind", folder / "reader_pairs.json", folder / "ablation.csv")


def test_one_row_per_stage_with_the_scores_of_its_own_tables(compared):
    table = pd.read_csv(compared / "ablation.csv").set_index("stage")
    assert table.index.tolist() == ["full", "blind"]
    for name, row in table.iterrows():
        content = json.loads((compared / name / "froc.json").read_text())
        own = content["sets"]["ensemble"]
        assert row["cpm"] == pytest.approx(own["cpm"], rel=1e-5)
        assert [row["cpm_low"], row["cpm_high"]] == pytest.approx(own["interval"], rel=1e-5)
        points = [row[f"sensitivity_{rate:g}"] for rate in own["rates"]]
        assert points == pytest.approx(own["sensitivity"], rel=1e-5)
        assert row["found"] == own["found"]
        assert row[["scans", "nodules", "level"]].tolist() == [2, 3, 3]
    assert table["trained"].tolist() == ["ncs > full", "ncs > blind"]
    assert set(table["protocol"]) == {"nodulenet"}


def test_differences_are_to_the_reference(compared):
    table = pd.read_csv(compared / "ablation.csv").set_index("stage")
    columns = ["difference", "difference_low", "difference_high"]
    difference, low, high = table.loc["full", columns]
    # One of three nodules more. In a draw of s0 alone they are alike, of s1 alone 1 apart.
    assert difference == pytest.approx(1 / 3, rel=1e-5)
    assert (low, high) == (0, 1)
    assert table.loc["blind", columns].isna().all()


def test_masks_are_there_where_a_stage_has_them(compared):
    table = pd.read_csv(compared / "ablation.csv").set_index("stage")
    content = json.loads((compared / "full/froc.json").read_text())["segmentation"]
    assert table.loc["full", "dice_found"] == pytest.approx(content["dice_found"], rel=1e-5)
    assert table.loc["full", "dice_all"] == pytest.approx(content["dice_all"], rel=1e-5)
    readers = content["readers"]["dice_found"]
    assert table.loc["full", "dice_readers_found"] == pytest.approx(readers, rel=1e-5)
    assert np.isnan(table.loc["blind", "dice_found"])
    assert table["mask_nodules"].fillna(-1).tolist() == [3, -1]


def test_the_difference_is_that_of_the_marks_themselves(compared):
    """What scans.csv holds gives the interval of a FROC that is scored again, to the last bit."""
    cohort = read_cohort(compared / "manifest.tsv", compared / "folds.tsv")
    truth = consensus_truths(cohort, read_findings(cohort), "manifest")[0]
    curves = []
    for name in ("full", "blind"):
        marks = read_stage(compared / name / "predictions.csv", cohort)
        marks = marks[marks["seriesuid"].isin(truth.scans)]
        curves.append(froc(truth.nodules, truth.excluded, marks, truth.scans))
    expected = paired_bootstrap(*curves, 200)
    row = pd.read_csv(compared / "ablation.csv").iloc[0]
    assert row["difference"] == float(f"{expected.cpm:.9g}")
    ends = [row["difference_low"], row["difference_high"]]
    assert ends == [float(f"{end:.9g}") for end in expected.interval]


def test_masks_are_of_the_own_consensus_under_the_challenge_s_protocol(compared, tmp_path):
    cohort, head = build(tmp_path), "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
    texts = {"a.csv": f"{head}s0,-70,-70,-80,13\n", "e.csv": head, "s.csv": "s0\ns1\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = replace(cohort, challenge=[tmp_path / name for name in texts])
    settings = FrocSettings(protocol="luna16", bootstrap=20)
    evaluate_stage(files, settings, ORIGIN, tmp_path / "full")
    own = (tmp_path / "full/froc.json", tmp_path / "full/scans.csv")
    stage = EvaluatedStage("full", "full", *own)
    compare_stages([stage], "full", compared / "reader_pairs.json", tmp_path / "ablation.csv")
    row = pd.read_csv(tmp_path / "ablation.csv").iloc[0]
    assert row[["protocol", "consensus", "nodules"]].tolist() == ["luna16", "given", 1]
    expected = [ORIGIN.consensus, ORIGIN.level, 3]
    assert row[["mask_consensus", "mask_level", "mask_nodules"]].tolist() == expected


def test_readers_among_themselves(compared):
    pairs = pd.read_csv(compared / "reader_pairs.csv")
    assert pairs["against"].tolist() == ["2", "consensus", "consensus"] * 3
    assert pairs["reader"].tolist() == [1, 1, 2] * 3
    between = [dice(ball(at, radius), ball(at, radius - 1)) for at, radius in NODULES]
    np.testing.assert_allclose(pairs.loc[pairs["against"] == "2", "dice"], between, rtol=1e-5)
    summary = json.loads((compared / "reader_pairs.json").read_text())
    assert summary["readers"]["dice"] == pytest.approx(np.mean(between))
    assert (summary["readers"]["nodules"], summary["readers"]["pairs"]) == (3, 3)
    # The first reader is the consensus, the second as far from it as from the first.
    assert summary["consensus"]["dice"] == pytest.approx((1 + np.mean(between)) / 2)
    assert summary["consensus"]["pairs"] == 6
    assert "volume_error_mm3" not in summary["readers"]
    table = pd.read_csv(compared / "ablation.csv")
    assert table["dice_between_readers"].tolist() == pytest.approx([np.mean(between)] * 2, rel=1e-5)


def test_predictions_against_single_readers(compared):
    table = pd.read_csv(compared / "full/readers.csv")
    assert table["reader"].tolist() == [1, 2] * 3
    assert table["found"].tolist() == [1, 1, 0, 0, 1, 1]
    mask = ball((30, 42, 46), 8)
    expected = [dice(mask, ball((30, 40, 45), radius)) for radius in (9, 8)]
    np.testing.assert_allclose(table["dice"][4:], expected, rtol=1e-5)
    first = dice(ball((20, 30, 30), 6), ball((20, 30, 30), 5))
    readers = json.loads((compared / "full/froc.json").read_text())["segmentation"]["readers"]
    assert readers["masks"] == 6
    assert readers["dice_found"] == pytest.approx(((1 + first) / 2 + np.mean(expected)) / 2)
    assert readers["dice_all"] == pytest.approx(((1 + first) / 2 + np.mean(expected)) / 3)


def copy_of(compared, folder):
    for name in ("full", "blind"):
        (folder / name).mkdir()
        for file in ("froc.json", "scans.csv"):
            (folder / name / file).write_bytes((compared / name / file).read_bytes())
    (folder / "reader_pairs.json").write_bytes((compared / "reader_pairs.json").read_bytes())
    return folder


def test_files_that_are_something_else_are_named(compared, tmp_path):
    folder = copy_of(compared, tmp_path)
    (folder / "odd.json").write_text("{}")
    with pytest.raises(InputError, match=r"odd\.json: no froc\.json"):
        compare(folder, ("odd.json", "odd.json"))
    content = json.loads((folder / "full/froc.json").read_text())
    del content["segmentation"]
    (folder / "odd.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"odd\.json: no froc\.json: segmentation"):
        compare(folder, ("odd.json", "odd.json"))
    (folder / "reader_pairs.json").write_text("{}")
    with pytest.raises(InputError, match=r"reader_pairs\.json: damaged or cut short"):
        compare(folder)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (",0.9,", ",0.9 0.8,", "not have as many probabilities as it counts"),
        (",0.9,", ",0.x,", "damaged or cut short"),
        ("with_nodules", "some", "no row of the set ensemble over the scans with_nodules"),
        ("ensemble,with_nodules,s1", "ensemble,with_nodules,s7", "full was: other scans"),
        ("ensemble,with_nodules,s1", "dfps,with_nodules,s1", "scans.csv: does not fit"),
    ],
)
def test_scans_that_do_not_fit_are_named(compared, tmp_path, old, new, fault):
    path = copy_of(compared, tmp_path) / "blind/scans.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    stages = [
        EvaluatedStage(name, name, tmp_path / name / "froc.json", tmp_path / name / "scans.csv")
        for name in ("full", "blind")
    ]
    with pytest.raises(InputError, match=fault) as error:
        compare_stages(stages, "full", tmp_path / "reader_pairs.json", tmp_path / "ablation.csv")
    assert "blind/scans.csv" in str(error.value)
    assert not (tmp_path / "ablation.csv").exists()
