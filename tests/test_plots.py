"""What the figures show, and the files they are drawn from."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from small_cohort import AFFINE, NODULES, SHAPE, ball, build, world

from nodulenet.cohort.timings import COLUMNS as TIMING_COLUMNS
from nodulenet.cohort.timings import write_timings
from nodulenet.evaluation import evaluate_stage
from nodulenet.evaluation.results import FrocFile, read_froc
from nodulenet.evaluation.segmentation import COLUMNS
from nodulenet.evaluation.tables import Origin, stamp_of
from nodulenet.evaluation.truth import ScoredScan
from nodulenet.files import InputError
from nodulenet.imaging.store import write_scan
from nodulenet.imaging.volume import Volume
from nodulenet.masks import CroppedMask
from nodulenet.plots import (
    plot_ablation,
    plot_froc,
    plot_gallery,
    plot_segmentation,
    plot_timings,
    plot_training,
)
from nodulenet.plots.ablation import ablation_caption, draw_scores, label
from nodulenet.plots.cases import Place, choose, cut_case, cuts, window
from nodulenet.plots.froc import draw_stage, froc_caption
from nodulenet.plots.gallery import read_cases
from nodulenet.plots.segmentation import draw_histogram
from nodulenet.plots.timings import draw_memory, draw_scans, draw_time
from nodulenet.plots.training import draw_column
from nodulenet.settings import FrocSettings

PNG = b"\x89PNG\r\n\x1a\n"
ORIGIN = Origin("nodulenet/union/nearest/0.4", 3, "0123456789ab")


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A scored stage: the files of the cohort and the folder of its scores."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = build(folder)
    evaluate_stage(cohort, FrocSettings(bootstrap=50), ORIGIN, folder / "full")
    return cohort, folder / "full"


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def read(content: dict, folder) -> FrocFile:
    """A froc.json of this content, as it is read."""
    (folder / "read.json").write_text(json.dumps(content))
    return read_froc(folder / "read.json")


def test_froc_shows_every_set_with_its_cpm_and_interval(stage):
    content = json.loads((stage[1] / "froc.json").read_text())
    froc = read_froc(stage[1] / "froc.json")
    axes = Figure().subplots()
    draw_stage(axes, "full", froc)
    low, high = content["sets"]["ensemble"]["interval"]
    assert legend(axes)[0] == f"ensemble  0.667 [{low:.3f}, {high:.3f}]"
    assert [text.split()[0] for text in legend(axes)] == ["ensemble", "dfps", "ncs"]
    assert axes.get_xscale() == "log"
    assert axes.get_xticklabels()[0].get_text() == "1/8"
    points = axes.lines[1].get_xydata()
    np.testing.assert_allclose(points[:, 1], content["sets"]["ensemble"]["sensitivity"])
    assert "2 scans, 3 nodules" in froc_caption(froc)
    assert "protocol nodulenet" in froc_caption(froc)


def test_froc_is_the_same_file_each_time_and_leaves_no_setting_behind(stage, tmp_path):
    before = dict(mpl.rcParams)
    for name in ("first.svg", "second.svg"):
        plot_froc(
            {"full": stage[1] / "froc.json", "again": stage[1] / "froc.json"}, tmp_path / name
        )
    first = (tmp_path / "first.svg").read_bytes()
    assert first == (tmp_path / "second.svg").read_bytes()
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert dict(mpl.rcParams) == before


def submission(stage, name="ncs", **changes):
    """The content of a froc.json of `nodulenet froc` with the scores of a stage's set."""
    content = json.loads((stage[1] / "froc.json").read_text())
    common = {key: content[key] for key in ("denominator", "readout", "bootstrap", "stamp")}
    own = {"protocol": "luna16", "predictions": "a.csv", "scans_without_marks": 0}
    return common | content["sets"][name] | own | changes


def test_froc_without_nodules_or_bootstrap_is_drawn(stage, tmp_path):
    flat = submission(stage, bootstrap=0, interval=[None, None])
    flat["curve"] |= {"low": [None] * 97, "high": [None] * 97}
    (tmp_path / "froc.json").write_text(json.dumps(flat))
    plot_froc({"submission": tmp_path / "froc.json"}, tmp_path / "froc.png")
    assert (tmp_path / "froc.png").read_bytes().startswith(PNG)
    froc = read(flat | {"cpm": None, "sensitivity": [None] * 7}, tmp_path)
    axes = Figure().subplots()
    draw_stage(axes, "none", froc)
    assert legend(axes) == ["a.csv  undefined"]
    assert "band" not in froc_caption(froc)


def test_two_submissions_are_named_with_their_difference(stage, tmp_path):
    difference = {"cpm": 0.25, "interval": [0.125, 0.5]}
    other = submission(stage, predictions="b.csv", difference=difference)
    froc = read(submission(stage, "ensemble", against=other), tmp_path)
    axes = Figure().subplots()
    draw_stage(axes, "submission", froc)
    assert [text.split()[0] for text in legend(axes)] == ["a.csv", "b.csv"]
    assert "difference of the CPMs 0.250 [0.125, 0.500]" in froc_caption(froc)


def test_the_scored_part_of_the_list_is_stated(stage, tmp_path):
    content = json.loads((stage[1] / "froc.json").read_text())
    text = froc_caption(read(content | {"protocol": "luna16", "listed": 888}, tmp_path))
    assert "2 of 888 listed scans, 3 nodules" in text
    assert "challenge's rules, lists as given" in text


def test_protocols_are_never_mixed(stage, tmp_path):
    content = json.loads((stage[1] / "froc.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(content | {"protocol": "luna16"}))
    with pytest.raises(InputError, match="do not belong in one figure"):
        plot_froc({"a": stage[1] / "froc.json", "b": tmp_path / "other.json"}, tmp_path / "f.svg")
    assert not (tmp_path / "f.svg").exists()


@pytest.mark.parametrize("text", ["[]", "{}", '{"protocol": "nodulenet", "sets": {"ncs": {}}}'])
def test_a_file_that_is_no_froc_is_named(tmp_path, text):
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(InputError, match=r"odd\.json"):
        plot_froc({"a": tmp_path / "odd.json"}, tmp_path / "f.svg")


def history(path, first, columns, epochs=4):
    names = ["stage", "lr", "loss", "ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr"]
    names += ["dfps_live_1", "val_loss", "val_sr", "val_cpm"]
    table = pd.DataFrame(dict.fromkeys(names, np.nan), index=range(epochs))
    table = table.assign(epoch=np.arange(first, first + epochs), lr=0.01, loss=1.0)
    for column in columns:
        table[column] = np.linspace(1, 0.5, epochs)
    table.to_csv(path, index=False)
    return path


def test_training_draws_the_losses_that_a_stage_has(tmp_path):
    paths = {
        "ncs": history(tmp_path / "ncs.csv", 0, ["ncs_class", "ncs_box"]),
        "full": history(tmp_path / "full.csv", 4, ["ncs_class", "ncs_box", "sr"]),
    }
    plot_training(paths, tmp_path / "training.png")
    assert (tmp_path / "training.png").read_bytes().startswith(PNG)
    tables = {name: pd.read_csv(path) for name, path in paths.items()}
    axes = Figure().subplots()
    draw_column(axes, "sr", tables)
    assert [line.get_label() for line in axes.lines] == ["full"]
    assert axes.lines[0].get_xdata().tolist() == [4, 5, 6, 7]


def test_the_patients_held_out_are_dashed_beside_the_training(tmp_path):
    path = history(tmp_path / "full.csv", 4, ["loss", "val_loss", "val_cpm"])
    table = pd.read_csv(path)
    table.loc[[0, 2], "val_cpm"] = np.nan  # scored every second epoch
    table.to_csv(path, index=False)
    axes = Figure().subplots()
    draw_column(axes, "loss", {"full": table})
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    assert axes.lines[0].get_color() == axes.lines[1].get_color()
    assert axes.lines[1].get_ydata().tolist() == table.val_loss.tolist()
    axes = Figure().subplots()
    draw_column(axes, "val_cpm", {"full": table})
    assert axes.lines[0].get_xdata().tolist() == [5, 7]
    plot_training({"full": path}, tmp_path / "held_out.svg")
    assert "patients held out" in (tmp_path / "held_out.svg").read_text()
    plot_training({"ncs": history(tmp_path / "ncs.csv", 0, ["ncs_class"])}, tmp_path / "none.svg")
    assert "patients held out" not in (tmp_path / "none.svg").read_text()


def test_a_file_that_is_no_history_is_named(tmp_path):
    (tmp_path / "odd.csv").write_text("epoch,loss\n1,2\n")
    with pytest.raises(InputError, match=r"odd\.csv: no column ncs_class"):
        plot_training({"ncs": tmp_path / "odd.csv"}, tmp_path / "training.png")


def test_histogram_counts_found_and_missed(stage, tmp_path):
    table = pd.read_csv(stage[1] / "segmentation.csv")
    axes = Figure().subplots()
    draw_histogram(axes, "full", table, 0.87)
    heights = [patch.get_height() for patch in axes.patches]
    assert sum(heights[:-1]) == 2
    assert heights[-1] == 1
    all_mean, found_mean = table["dice"].mean(), table["dice"][table["found"] == 1].mean()
    assert legend(axes) == [
        f"mean of 2 found: {found_mean:.3f}",
        f"mean of all 3, missed as 0: {all_mean:.3f}",
        "reader against reader: 0.870",
    ]
    axes = Figure().subplots()
    draw_histogram(axes, "full", table, None)
    assert len(legend(axes)) == 2


def test_stages_without_masks_are_drawn_as_such(stage, tmp_path):
    pd.DataFrame(columns=COLUMNS).to_csv(tmp_path / "empty.csv", index=False)
    readers = tmp_path / "reader_pairs.json"
    stamp = asdict(stamp_of(ORIGIN, 2, 3))
    readers.write_text(json.dumps({"readers": {"dice": 0.8}, "stamp": stamp}))
    both = {"full": stage[1] / "segmentation.csv", "ncs_only": tmp_path / "empty.csv"}
    for name, tables in (("both.svg", both), ("none.svg", {"ncs_only": tmp_path / "empty.csv"})):
        plot_segmentation(tables, readers, tmp_path / name)
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
    with pytest.raises(InputError, match="no column series_uid"):
        plot_segmentation({"full": stage[0].predictions}, readers, tmp_path / "f.svg")


def ablation(path, **changes):
    """An ablation.csv of three stages, of which one segments."""
    table = pd.DataFrame({"stage": ["full", "dfps_only", "ncs_only"], "cpm": [0.8, 0.7, 0.6]})
    table = table.assign(cpm_low=table["cpm"] - 0.1, cpm_high=table["cpm"] + 0.1)
    table = table.assign(reference="ncs_only", difference=[0.2, 0.1, np.nan])
    table = table.assign(difference_low=[0.1, -0.1, np.nan], difference_high=[0.3, 0.2, np.nan])
    table = table.assign(dice_found=[0.8, np.nan, np.nan], dice_all=[0.75, np.nan, np.nan])
    table = table.assign(protocol="nodulenet", denominator="with_nodules", scans=20, nodules=58)
    table.assign(**changes).to_csv(path, index=False)
    return path


def test_ablation_shows_scores_and_differences(tmp_path):
    path = ablation(tmp_path / "ablation.csv")
    plot_ablation(path, tmp_path / "ablation.svg")
    assert ElementTree.parse(tmp_path / "ablation.svg").getroot().tag.endswith("svg")
    rows = pd.read_csv(path)
    axes = Figure().subplots()
    draw_scores(axes, rows, "difference")
    # An interval and its value for each stage but the reference.
    assert [line.get_xdata().tolist() for line in axes.lines] == [
        [0.1, 0.3],
        [0.2],
        [-0.1, 0.2],
        [0.1],
    ]
    assert [text.get_text() for text in axes.texts] == ["+0.200", "+0.100"]
    names = [label(row) for row in rows.to_dict("records")]
    assert names == ["full\nDice 0.800 found, 0.750 all", "dfps_only", "ncs_only"]
    assert "20 scans" in ablation_caption(rows)
    assert "paired" in ablation_caption(rows)


def test_ablation_without_bootstrap_or_of_one_stage_is_drawn(tmp_path):
    names = ("cpm_low", "cpm_high", "difference_low", "difference_high", "difference")
    path = ablation(tmp_path / "ablation.csv", **dict.fromkeys(names, np.nan))
    plot_ablation(path, tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").read_bytes().startswith(PNG)
    assert "interval" not in ablation_caption(pd.read_csv(path))
    path.write_text("stage,cpm\n")
    with pytest.raises(InputError, match=r"ablation\.csv: no column cpm_low"):
        plot_ablation(path, tmp_path / "f.svg")


def test_ablation_of_one_stage_has_one_panel(tmp_path):
    path = ablation(tmp_path / "three.csv")
    one = tmp_path / "one.csv"
    pd.read_csv(path)[2:].to_csv(one, index=False)
    panels = []
    for table in (path, one):
        plot_ablation(table, tmp_path / "ablation.svg")
        panels.append((tmp_path / "ablation.svg").read_text().count('id="axes_'))
    assert panels == [2, 1]
    assert "paired" not in ablation_caption(pd.read_csv(one))


def test_gallery_is_drawn_for_a_stage_with_and_without_masks(stage, tmp_path):
    cohort, folder = stage
    scores = folder / "segmentation.csv"
    plot_gallery(cohort, scores, tmp_path / "gallery.png", count=2)
    assert (tmp_path / "gallery.png").read_bytes().startswith(PNG)
    (tmp_path / "none.csv").write_text(scores.read_text().splitlines()[0] + "\n")
    without = replace(cohort, masks=[tmp_path / "none", tmp_path / "none"])
    plot_gallery(without, tmp_path / "none.csv", tmp_path / "none.png")
    assert (tmp_path / "none.png").read_bytes().startswith(PNG)


def test_the_gallery_shows_what_segmentation_csv_says(stage):
    cohort, folder = stage
    table = pd.read_csv(folder / "segmentation.csv")
    groups = read_cases(cohort, folder / "segmentation.csv", 4)
    dice = table["dice"].round(2).map("{:.2f}".format)
    assert [case.title.split("\n")[1] for case in groups["best"]] == [f"p 0.90  Dice {dice[0]}"]
    assert [case.title.split("\n")[1] for case in groups["worst"]] == [f"p 0.80  Dice {dice[2]}"]
    (missed,) = groups["missed"]
    assert missed.title == "…s0  nodule 2  9 mm\nmissed"
    assert not missed.prediction.any()
    found = groups["worst"][0]
    assert found.prediction.sum() == ball((30, 42, 46), 8).sum()
    assert found.truth.sum() == ball((30, 40, 45), 9).sum()


def test_a_mask_that_a_row_names_and_its_file_lacks(stage, tmp_path):
    cohort, folder = stage
    text = (folder / "segmentation.csv").read_text()
    (tmp_path / "s.csv").write_text(re.sub(r",1,1,nodulenet", ",1,2,nodulenet", text))
    with pytest.raises(InputError, match=r"s0\.npz: has no mask of row 2"):
        read_cases(cohort, tmp_path / "s.csv", 4)


def test_best_worst_and_missed_are_disjoint():
    table = pd.DataFrame({"dice": [0.5, 0.9, 0, 0.7, 0.1, 0]})
    table["found"] = (table["dice"] > 0).astype(int)
    table["diameter_mm"] = [9, 9, 5, 9, 9, 8]
    groups = {name: rows.index.tolist() for name, rows in choose(table, 3).items()}
    assert groups == {"best": [1, 3], "worst": [4, 0], "missed": [5, 2]}
    groups = {name: rows.index.tolist() for name, rows in choose(table, 1).items()}
    assert groups == {"best": [1], "worst": [4], "missed": [5]}


def scan_on_disk(folder, affine, flip):
    """The scan s0 of the small cohort, stored along other axes; its volume has one nodule of 6."""
    (centre, radius), _ = NODULES["s0"]
    labels = ball(centre, radius).astype(np.uint8)
    image = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 100 + 100 * labels
    names = {"volume": "v.npy", "record": "r.json", "mask": "m.npy"}
    paths = {kind: folder / name for kind, name in names.items()}
    volume = Volume(np.flip(image, flip).astype(np.uint8), affine)
    write_scan(paths, volume, np.flip(labels, flip), {})
    return ScoredScan("s0", 0, 1, folder, *paths.values(), folder)


def test_outlines_lie_on_the_lesion_whatever_the_axes(tmp_path):
    (centre, radius), _ = NODULES["s0"]
    at = np.array(list(world(centre).values()))
    cases = []
    for flip in ((), (0,), (1, 2)):
        flips = np.diag([-1.0 if axis in flip else 1.0 for axis in range(3)] + [1.0])
        flips[list(flip), 3] = [SHAPE[axis] - 1 for axis in flip]
        folder = tmp_path / str(len(flip))
        scan = scan_on_disk(folder, AFFINE @ flips, flip)
        shifted = CroppedMask(np.flip(ball((20, 32, 30), 4), flip), (0, 0, 0))
        cases.append(cut_case(Place(scan, at, 0.9 * (2 * radius + 1), 1, shifted), "a title"))
    first = cases[0]
    assert first.image.shape == (37, 37, 37)
    assert first.image[first.truth].min() >= 100 > first.image[~first.truth].max()
    assert np.argwhere(first.truth).mean(axis=0).tolist() == [18, 18, 18]
    assert np.argwhere(first.prediction).mean(axis=0).tolist() == [18, 20, 18]
    assert first.title == "a title"
    for other in cases[1:]:
        for name in ("image", "truth", "prediction"):
            np.testing.assert_array_equal(getattr(first, name), getattr(other, name))
    planes = cuts(first)
    np.testing.assert_array_equal(planes[0][1], first.truth[18])
    np.testing.assert_array_equal(planes[2][2], first.prediction[:, :, 18])


def test_a_window_beyond_the_array_is_zero():
    array = np.arange(1, 28).reshape(3, 3, 3)
    out = window(array, np.array([-1, 2, 2]), 3)
    expected = np.zeros((3, 3, 3), int)
    expected[1:, :1, :1] = array[:2, 2:, 2:]
    np.testing.assert_array_equal(out, expected)
    assert not window(array, np.array([5, 0, 0]), 3).any()


def timings(*rows):
    return pd.DataFrame(rows, columns=list(TIMING_COLUMNS))


def test_timings_are_drawn_by_rule_and_by_scan(tmp_path):
    table = timings(
        ["preprocess", "1.2", "", 30.0, 20.0, 300.0],
        ["preprocess", "1.3", "", 10.0, 8.0, 500.0],
        ["preprocess", "1.4", "", 20.0, 8.0, 100.0],
        ["train", "", "fold0_full", 3540.0, 3564.0, 900.0],
        ["manifest", "", "", 1.0, np.nan, np.nan],
    )
    time, memory, scans = Figure().subplots(3)
    draw_time(time, table)
    assert [text.get_text() for text in time.get_yticklabels()] == [
        "manifest (1)",
        "preprocess (3)",
        "train (1)",
    ]
    assert time.lines[0].get_xdata().tolist() == [1, 60, 3540]
    assert time.get_title() == "sum over jobs: 1 h wall, 1 h CPU"
    draw_memory(memory, table)
    assert [line.get_xdata()[-2:].tolist() for line in memory.lines] == [[300, 900], [500, 900]]
    draw_scans(scans, table[table["series_uid"] != ""], "seconds", "s")
    assert scans.lines[0].get_xydata().tolist() == [[0, 10], [50, 20], [100, 30]]
    assert legend(scans) == ["preprocess: median 20, most 30 s"]
    alone = Figure().subplots()
    draw_scans(alone, table[table["series_uid"] != ""][:1], "seconds", "s")
    assert alone.lines[0].get_marker() == "."  # a line of one point is not seen
    for name, rows in (("whole", table), ("few", table[3:]), ("none", table[:0])):
        write_timings(rows, tmp_path / f"{name}.tsv")
        plot_timings(tmp_path / f"{name}.tsv", tmp_path / f"{name}.svg")
        text = (tmp_path / f"{name}.svg").read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
