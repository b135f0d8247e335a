"""Masks that `predict` wrote, corrected or not, read as annotations."""

import shutil

import numpy as np
import pydicom
import pytest
from chest import SERIES, keep_segments

from nodulenet.annotations import voxels_of
from nodulenet.cohort.annotate import read_annotations
from nodulenet.cohort.mask_files import find_masks
from nodulenet.files import InputError
from nodulenet.imaging.drawn_masks import drawn_groups
from nodulenet.imaging.volume import blank
from nodulenet.settings import ConsensusSettings

RULES = ConsensusSettings(level=1)


def groups_of(path, volume):
    reading = read_annotations(SERIES, [path], "masks")
    return drawn_groups(reading, blank(volume.affine, volume.array.shape), RULES)


def test_a_segmentation_and_the_label_map_of_a_prediction_are_the_same(predicted):
    from_seg, notes = groups_of(predicted.output / "seg.dcm", predicted.volume)
    from_map, _ = groups_of(predicted.output / "masks.nii.gz", predicted.volume)
    assert notes == []
    assert len(from_seg) == len(from_map) == 2
    for one, other in zip(from_seg, from_map, strict=True):
        assert one.offset == other.offset
        assert np.array_equal(one.mask, other.mask)


def test_segments_keep_their_names(predicted):
    (session,) = read_annotations(SERIES, [predicted.output / "seg.dcm"], "masks").sessions
    assert [mark.mark_id for mark in session.marks] == [
        "segment 1 (Nodule 1)",
        "segment 2 (Nodule 2)",
    ]


def test_a_corrected_segmentation_is_what_was_saved(predicted, tmp_path):
    keep_segments(predicted.output / "seg.dcm", tmp_path / "seg.dcm", {2})
    before, after = (
        read_annotations(SERIES, [folder / "seg.dcm"], "masks").sessions[0].marks
        for folder in (predicted.output, tmp_path)
    )
    assert after == before[1:]
    assert voxels_of(after[0].drawing).mask.sum() > 0


def edited(predicted, path, edit):
    """The prediction's segmentation after an edit, in a new file."""
    data = pydicom.dcmread(predicted.output / "seg.dcm")
    edit(data)
    data.save_as(path)
    return path


def test_segmentations_of_others_are_refused(predicted, tmp_path):
    def other_series(data):
        data.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"

    path = edited(predicted, tmp_path / "other.dcm", other_series)
    with pytest.raises(InputError, match=rf"other.dcm: refers to series 1.2.3, not to {SERIES}"):
        read_annotations(SERIES, [path], "masks")

    def fractional(data):
        data.SegmentationType = "FRACTIONAL"

    path = edited(predicted, tmp_path / "soft.dcm", fractional)
    with pytest.raises(InputError, match=r"soft.dcm: a fractional segmentation"):
        read_annotations(SERIES, [path], "masks")
    slices = next(predicted.folder.glob("*.dcm"))
    with pytest.raises(InputError, match=f"{slices.name}: a DICOM file of modality CT, not a seg"):
        read_annotations(SERIES, [slices], "masks")
    cut = tmp_path / "cut.dcm"
    cut.write_bytes((predicted.output / "seg.dcm").read_bytes()[:-500])
    with pytest.raises(InputError, match=r"cut.dcm: .*cannot be read"):
        read_annotations(SERIES, [cut], "masks")


def test_masks_are_found_by_series(predicted, tmp_path):
    ct = {SERIES: predicted.folder}
    for name in ("seg.dcm", "masks.nii.gz", "findings.json"):
        shutil.copy(predicted.output / name, tmp_path)
    with pytest.raises(InputError, match=r"masks.nii.gz and seg.dcm are one prediction"):
        find_masks(tmp_path, ct)
    (tmp_path / "seg.dcm").unlink()
    found, _ = find_masks(tmp_path, ct)
    assert found == {SERIES: [tmp_path / "masks.nii.gz"]}
    (tmp_path / "findings.json").unlink()
    assert find_masks(tmp_path, ct)[0] == {}
    named = tmp_path / f"{SERIES}_rad2.nii.gz"
    (tmp_path / "masks.nii.gz").rename(named)
    inner = tmp_path / SERIES
    inner.mkdir()
    shutil.copy(named, inner / "rad1.nii.gz")
    shutil.copy(predicted.output / "seg.dcm", tmp_path / "rad3.dcm")
    shutil.copy(named, tmp_path / "1.2.9.nii.gz")
    (tmp_path / "notes.txt").write_text("read by hand")
    found, passed = find_masks(tmp_path, ct)
    assert sorted(found[SERIES]) == sorted([named, inner / "rad1.nii.gz", tmp_path / "rad3.dcm"])
    assert {path.name: reason for path, reason in passed} == {
        "1.2.9.nii.gz": "no CT of its series: 1.2.9",
        "notes.txt": "neither a DICOM file nor an image",
    }
    assert find_masks(tmp_path, {SERIES: named})[0][SERIES] == [
        tmp_path / "rad3.dcm",
        inner / "rad1.nii.gz",
    ]
