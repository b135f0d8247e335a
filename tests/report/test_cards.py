"""Which nodules and marks get a card, and what it says."""

import re

import numpy as np
import pandas as pd
import pytest
import small_report
from small_cohort import ball

from nodulenet.evaluation.results import read_froc
from nodulenet.evaluation.truth import read_cohort, read_findings, read_stage
from nodulenet.files import InputError
from nodulenet.report import cards as module
from nodulenet.report.cards import Gallery, false_cards, missed, missed_cards
from nodulenet.report.sources import read_set


def gallery_of(sources, **changes):
    cohort = read_cohort(sources.manifest, sources.folds)
    froc = read_froc(sources.froc["full"])
    values = {
        "scans": {scan.series_uid: scan for scan in cohort},
        "patients": {scan.series_uid: f"p{scan.series_uid}" for scan in cohort},
        "findings": read_findings(cohort),
        "predictions": read_stage(sources.predictions, cohort),
        "masks": sources.masks,
        "labelled": froc.protocol != "luna16",
        "outlined": {scan.series_uid for scan in cohort},
    }
    return froc, Gallery(**values | changes)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return small_report.build(tmp_path_factory.mktemp("small"))


def pixels(path):
    """How many pixels of the axial cut a path of horizontal runs encloses."""
    mask = np.zeros((200, 200), bool)
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)", path):
        mask[int(y) :, int(x) : int(x) + int(length)] ^= True
    return int(mask[:, :41].sum())


def test_the_missed_nodule_and_both_false_positives(sources):
    froc, gallery = gallery_of(sources)
    (card,) = missed_cards(sources, froc, gallery)
    assert (card.kind, card.title, card.scan.series_uid, card.scan.fold) == (
        "unmarked", "Nodule 2: no mark", "s0", 0
    )  # fmt: skip
    assert (card.patient_id, card.diameter_mm, card.level, card.probability) == ("ps0", 9, 3, None)
    assert card.position == [-30, -40, -60]
    assert card.notes == ["consensus level 3", "no mark hits it; the nearest is 53.1 mm away"]
    assert pixels(card.picture.truth) == int(ball((30, 40, 45), 4)[30].sum())
    assert (card.picture.prediction, card.picture.circles) == ("", [])
    # 20 mm to each side of the middle at 1 mm.
    assert (card.picture.height, card.picture.bar) == (41, 10)
    false, listed = false_cards(sources, froc, gallery)
    assert listed == 2
    assert [(card.scan.series_uid, card.probability, card.scan.fold) for card in false] == [
        ("s2", 0.95, 1), ("s1", 0.6, 1)
    ]  # fmt: skip
    assert false[0].notes == ["0.33 false positives per scan down to here", "no nodule in the scan"]
    assert false[1].notes[1] == "the nearest nodule is 50.2 mm away"
    # Neither has a mask: a ball of the predicted 10 mm in the middle.
    assert [card.picture.prediction for card in false] == ["", ""]
    assert false[1].picture.circles[0] == (20.5, 20.5, 5)
    assert [card.level for card in false] == [None, None]


def test_a_nodule_found_late_has_its_mark_s_mask(sources, tmp_path):
    sources = small_report.build(tmp_path)
    table = pd.read_csv(sources.nodules)
    late = table["seriesuid"] == "s1"
    table.loc[late, "false_positives_per_scan"] = 1.5
    table.to_csv(sources.nodules, index=False)
    froc, gallery = gallery_of(sources)
    first, second = missed_cards(sources, froc, gallery)
    assert (first.kind, second.kind) == ("unmarked", "below")
    assert (second.title, second.probability) == ("Nodule 1: found late", 0.8)
    assert second.notes[1] == "found only at 1.50 false positives per scan"
    assert pixels(second.picture.prediction) == int(ball((30, 42, 46), 8)[30].sum())
    assert pixels(second.picture.truth) == int(ball((30, 40, 45), 9)[30].sum())


def test_what_is_missed_at_one_false_positive_per_scan():
    table = pd.DataFrame({"found": [0, 1, 1, 1], "false_positives_per_scan": [np.nan, 0, 1, 1.01]})
    assert missed(table).tolist() == [True, False, False, True]


def test_the_most_probable_false_positives_alone_are_shown(sources, monkeypatch):
    monkeypatch.setattr(module, "MOST_FALSE", 1)
    froc, gallery = gallery_of(sources)
    false, listed = false_cards(sources, froc, gallery)
    assert ([card.probability for card in false], listed) == ([0.95], 2)


def test_a_listed_nodule_is_a_ball_and_has_no_level(tmp_path):
    sources = small_report.build(tmp_path, "luna16")
    froc, gallery = gallery_of(sources)
    (card,) = missed_cards(sources, froc, gallery)
    assert (card.position, card.level, card.diameter_mm) == ([-30, -40, -60], None, 9)
    assert card.notes == ["no mark hits it; the nearest is 53.1 mm away"]
    assert card.picture.circles[0] == (20.5, 20.5, 4.5)
    # The own consensus is outlined all the same.
    assert pixels(card.picture.truth) > 0
    assert [card.scan.series_uid for card in false_cards(sources, froc, gallery)[0]] == ["s1"] * 3


def test_a_cube_has_no_level(sources):
    froc, gallery = gallery_of(sources, outlined=())
    (card,) = missed_cards(sources, froc, gallery)
    assert card.level is None
    assert card.notes == ["no mark hits it; the nearest is 53.1 mm away"]


def test_a_stage_without_masks_shows_balls(sources, tmp_path):
    froc, gallery = gallery_of(sources, masks=())
    false, _ = false_cards(sources, froc, gallery)
    assert all(card.picture.circles for card in false)
    froc, gallery = gallery_of(sources, masks=[tmp_path, tmp_path])
    with pytest.raises(InputError, match=r"s2\.npz: No such file"):
        false_cards(sources, froc, gallery)


def test_a_damaged_table_is_named(sources, tmp_path):
    (tmp_path / "odd.csv").write_text("set,denominator\nensemble,all\n")
    with pytest.raises(InputError, match=r"odd\.csv: no column mark"):
        read_set(tmp_path / "odd.csv", "all", ("mark",))
    with pytest.raises(InputError, match=r"none\.csv"):
        read_set(tmp_path / "none.csv", "all", ("mark",))
