"""Masks of which some labels are nodules: the others are findings that count neither way."""

import logging
from pathlib import Path

import numpy as np
import pytest
import trees
from hypothesis import given
from hypothesis import strategies as st
from turning import stored

from nodulenet.annotations import Mark, Reading, read_reading
from nodulenet.cohort.annotate import annotate_scan, read_annotations
from nodulenet.cohort.steps import Scan, find_nodules
from nodulenet.files import InputError
from nodulenet.imaging import read_volume, write_volume
from nodulenet.imaging.label_maps import chosen_marks
from nodulenet.scan_table import MaskFile
from nodulenet.settings import ConsensusSettings, PreprocessSettings

LEVEL_1 = ConsensusSettings(level=1)
MASK = trees.labels((1, 2, 3, 1), (2, 4, 1, 2), (3, 1, 5, 7))


def found(reading: Reading, ct: Path, rules: ConsensusSettings = LEVEL_1):
    return find_nodules(Scan("1.2", ct), reading, rules, PreprocessSettings())


@pytest.mark.parametrize("way", [((0, 1, 2), ()), ((2, 0, 1), (1,))])
def test_other_labels_are_points_at_their_centroids(tmp_path, caplog, way) -> None:
    ct, mask = trees.image(tmp_path / "ct.nii"), trees.image(tmp_path / "mask.nii", MASK)
    write_volume(stored(read_volume(mask), *way), tmp_path / "turned.nii")
    chosen = MaskFile(tmp_path / "turned.nii", frozenset({2}))
    with caplog.at_level(logging.WARNING):
        annotate_scan("1.2", [chosen], "masks", tmp_path / "reading.json")
    assert "no nodules by the scan table: label 1, label 7" in caplog.text
    reading = read_reading(tmp_path / "reading.json")
    groups, table, levels, notes = found(reading, ct)
    assert levels == (1, 0, 0, 0)
    assert notes == ()
    assert [int(group.mask.sum()) for group in groups] == [2]
    assert table["kind"].tolist() == ["nodule", "non_nodule", "non_nodule"]
    places = table[["coordX", "coordY", "coordZ"]].to_numpy()[1:]
    assert np.allclose(places, [trees.world(1, 2, 3.5), trees.world(3, 1, 5.5)])
    assert table[["diameter_mm", "volume_mm3"]].to_numpy()[1:].tolist() == [[-1, 0]] * 2


def test_a_chosen_label_that_the_file_lacks_is_named_with_the_file(tmp_path) -> None:
    mask = trees.image(tmp_path / "mask.nii", MASK)
    told = r"mask.nii: lacks label 3, 5, a nodule by the scan table; its labels: 1, 2, 7"
    with pytest.raises(InputError, match=told):
        read_annotations("1.2", [MaskFile(mask, frozenset({1, 3, 5}))], "masks")
    xml = MaskFile(tmp_path / "a.xml", frozenset({1}))
    with pytest.raises(InputError, match=r"a\.xml: only masks have labels to choose from"):
        read_annotations("1.2", [xml], "mixed")


def test_a_file_without_a_chosen_label_is_a_reader_who_found_nothing(tmp_path) -> None:
    ct, mask = trees.image(tmp_path / "ct.nii"), trees.image(tmp_path / "mask.nii", MASK)
    reading = read_annotations("1.2", [MaskFile(mask, frozenset())], "mixed")
    assert reading.flags[0] == f"{mask}: no nodule is drawn"
    groups, table, *_ = found(reading, ct)
    assert groups == []
    assert table["kind"].tolist() == ["non_nodule"] * 3


def test_parts_are_those_of_the_only_nodule(tmp_path) -> None:
    array = trees.labels((1, 2, 1, 1), (1, 2, 5, 1), (3, 4, 2, 2), (3, 1, 6, 2))
    ct, mask = trees.image(tmp_path / "ct.nii"), trees.image(tmp_path / "mask.nii", array)
    reading = read_annotations("1.2", [MaskFile(mask, frozenset({1}))], "masks")
    split = LEVEL_1.model_copy(update={"components": True})
    _, table, *_ = found(reading, ct, split)
    assert table["kind"].tolist() == ["nodule", "nodule", "non_nodule"]


def test_a_non_nodule_outside_of_the_ct_is_said(tmp_path) -> None:
    ct = trees.image(tmp_path / "ct.nii")
    array = np.zeros((4, 6, 40), np.uint8)
    array[1, 1, 1], array[1, 1, 30] = 1, 2
    mask = trees.image(tmp_path / "wide.nii", array)
    reading = read_annotations("1.2", [MaskFile(mask, frozenset({1}))], "masks")
    *_, notes = found(reading, ct)
    assert notes == (f"{mask}: label 2: lies outside the CT",)


@given(st.frozensets(st.integers(1, 9)), st.frozensets(st.integers(1, 9)))
def test_every_label_is_a_mark_and_the_chosen_are_nodules(there, chosen) -> None:
    marks = [(label, Mark("nodule", f"label {label}", ())) for label in sorted(there)]
    file = MaskFile(Path("a.nii"), chosen)
    if chosen - there:
        with pytest.raises(InputError, match=rf"lacks label .*{max(chosen - there)}"):
            chosen_marks(file, marks)
        return
    kinds = {mark.mark_id: mark.kind for mark in chosen_marks(file, marks)}
    assert kinds == {f"label {k}": "nodule" if k in chosen else "non_nodule" for k in there}
