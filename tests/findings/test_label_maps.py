"""Masks that `predict` wrote, corrected or not, read as annotations."""

import shutil
from contextlib import nullcontext

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from chest import SERIES, keep_segments

from nodulenet.annotations import voxels_of
from nodulenet.cohort.annotate import read_annotations
from nodulenet.cohort.index import index_folders
from nodulenet.cohort.mask_files import find_masks
from nodulenet.cohort.steps import Scan, find_nodules
from nodulenet.doctor.config import check_drawn
from nodulenet.files import InputError
from nodulenet.imaging import drawn_masks, segmentations, write_volume
from nodulenet.imaging.drawn_masks import drawn_groups
from nodulenet.imaging.volume import blank
from nodulenet.settings import ConsensusSettings, PreprocessSettings

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


def test_a_segmentation_of_another_frame_is_refused(predicted, tmp_path):
    """Where both have one: the UID of the CT's DICOM series and that of the segmentation."""
    own = str(predicted.sources[0].header.FrameOfReferenceUID)

    def other_frame(data):
        data.FrameOfReferenceUID = "1.2.3.4"

    def nodules_in(path, ct):
        reading = read_annotations(SERIES, [predicted.output / "masks.nii.gz", path], "masks")
        return find_nodules(Scan(SERIES, ct), reading, RULES, PreprocessSettings()).groups

    other = edited(predicted, tmp_path / "other.dcm", other_frame)
    with pytest.raises(InputError) as error:
        nodules_in(other, predicted.folder)
    assert str(error.value) == f"{other}: its frame of reference is 1.2.3.4, the CT's {own}"
    write_volume(predicted.volume, tmp_path / "ct.mha")
    for path, ct in (
        (predicted.output / "seg.dcm", predicted.folder),
        (other, tmp_path / "ct.mha"),  # names no frame
    ):
        assert len(nodules_in(path, ct)) == 2


def test_a_segmentation_without_a_frame_is_named(predicted, tmp_path):
    def no_frame(data):
        del data.FrameOfReferenceUID

    path = edited(predicted, tmp_path / "none.dcm", no_frame)
    with pytest.raises(InputError, match=r"none.dcm: has no FrameOfReferenceUID"):
        read_annotations(SERIES, [path], "masks")


def test_frames_are_read_only_for_masks_that_name_theirs(predicted, monkeypatch):
    def unread(*_):
        raise AssertionError("read")

    monkeypatch.setattr(drawn_masks, "read_frame", unread)
    for names, read in ((["masks.nii.gz"], False), (["seg.dcm"], True)):
        paths = [predicted.output / name for name in names]
        reading = read_annotations(SERIES, paths, "masks")
        with pytest.raises(AssertionError, match="read") if read else nullcontext():
            drawn_masks.require_same_frame(reading, predicted.folder)


def test_an_empty_segmentation_is_a_reader_who_found_nothing(predicted, tmp_path):
    keep_segments(predicted.output / "seg.dcm", tmp_path / "empty.dcm", set())
    reading = read_annotations(SERIES, [tmp_path / "empty.dcm"], "masks")
    assert reading.sessions[0].marks == ()
    assert reading.flags == (f"{tmp_path / 'empty.dcm'}: no nodule is drawn",)


def test_a_segmentation_of_many_segments_is_no_mask_of_nodules(predicted, monkeypatch):
    monkeypatch.setattr(segmentations, "MOST_LABELS", 1)
    with pytest.raises(InputError) as error:
        read_annotations(SERIES, [predicted.output / "seg.dcm"], "masks")
    fault = "holds 2 segments, more than 1: not a mask of nodules"
    assert str(error.value) == f"{predicted.output / 'seg.dcm'}: {fault}"


def test_the_doctor_reads_the_headers_of_masks(predicted, tmp_path):
    """Those that the workflow would refuse are named; nothing else of them is read."""

    def other_series(data):
        data.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"

    other = edited(predicted, tmp_path / "other.dcm", other_series)
    cut = tmp_path / "cut.nii"
    sitk.WriteImage(sitk.ReadImage(str(predicted.output / "masks.nii.gz")), str(cut))
    cut.write_bytes(cut.read_bytes()[:-400])
    note = tmp_path / "note.txt"
    note.write_text("a note")
    good = [predicted.output / "seg.dcm", predicted.output / "masks.nii.gz"]
    files = [*good, other, cut, note, tmp_path / "gone.nii"]  # others tell of missing files
    found = check_drawn("t.tsv", [(SERIES, str(path)) for path in files], skip=False)
    begin = f"t.tsv: a mask of series {SERIES} is refused: "
    faults = [one.text.removeprefix(begin) for one in found]
    assert [one.state for one in found] == ["missing"] * 3
    assert faults[0].startswith(f"{other}: refers to series 1.2.3, not to {SERIES}: repair it")
    assert faults[1].startswith(f"{cut}: holds ")
    assert faults[2].startswith(f"{note}: neither a DICOM file nor an image")
    (skipped,) = check_drawn("t.tsv", [(SERIES, str(note))], skip=True)
    assert (skipped.name, skipped.state) == ("masks", "optional")


def write_segmentation(predicted, kind, pixels, path):
    """The prediction's two segments with other pixels (z, y, x) or (z, y, x, 2)."""
    source = hd.seg.segread(predicted.output / "seg.dcm")
    segmentation = hd.seg.Segmentation(
        source_images=[slice_source.header for slice_source in predicted.sources],
        pixel_array=pixels.astype(np.uint8),
        segmentation_type=kind,
        segment_descriptions=[source.get_segment_description(number) for number in (1, 2)],
        series_instance_uid=pydicom.uid.generate_uid(),
        series_number=2,
        sop_instance_uid=pydicom.uid.generate_uid(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
    )
    segmentation.save_as(path)
    return path


def labels_of(predicted):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(predicted.output / "masks.nii.gz")))


def test_a_label_map_segmentation_keeps_its_segments_apart(predicted, tmp_path):
    """highdicom gives all segments of this type, whichever were asked for."""
    path = write_segmentation(predicted, "LABELMAP", labels_of(predicted), tmp_path / "map.dcm")
    found, _ = groups_of(path, predicted.volume)
    wanted, _ = groups_of(predicted.output / "seg.dcm", predicted.volume)
    assert [(group.offset, group.mask.tolist()) for group in found] == [
        (group.offset, group.mask.tolist()) for group in wanted
    ]


def test_segments_may_overlap(predicted, tmp_path):
    labels = labels_of(predicted)
    both = np.stack([labels == 1, labels > 0], axis=-1)
    path = write_segmentation(predicted, "BINARY", both, tmp_path / "both.dcm")
    (session,) = read_annotations(SERIES, [path], "masks").sessions
    sizes = [int(voxels_of(mark.drawing).mask.sum()) for mark in session.marks]
    assert sizes == both.sum((0, 1, 2)).tolist()


def test_frames_without_a_slice_step_must_fit_the_scan(predicted, tmp_path):
    """With a gap between the drawn slices, their positions alone give another step."""

    def no_step(data):
        shared = data.SharedFunctionalGroupsSequence[0]
        del shared.PixelMeasuresSequence[0].SpacingBetweenSlices
        frames = data.PerFrameFunctionalGroupsSequence
        z = [float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in frames]
        step = min(abs(a - b) for a in z for b in z if abs(a - b) > 0.1)
        for frame, at in zip(frames, z, strict=True):
            frame.PlanePositionSequence[0].ImagePositionPatient[2] = z[0] + 2 * (at - z[0])
        assert step == pytest.approx(3, abs=0.01)

    path = edited(predicted, tmp_path / "gap.dcm", no_step)
    with pytest.raises(InputError, match="does not say where it lies, and its grid is not the CT"):
        groups_of(path, predicted.volume)


def test_a_frame_of_another_series_is_named(predicted, tmp_path):
    def other_image(data):
        frame = data.PerFrameFunctionalGroupsSequence[2]
        image = frame.DerivationImageSequence[0].SourceImageSequence[0]
        image.ReferencedSOPInstanceUID = "1.2.3"

    path = edited(predicted, tmp_path / "mixed.dcm", other_image)
    with pytest.raises(InputError, match=r"mixed.dcm: frame 3 refers to an image of another"):
        read_annotations(SERIES, [path], "masks")

    def nameless(data):
        del data.ReferencedSeriesSequence

    path = edited(predicted, tmp_path / "nameless.dcm", nameless)
    with pytest.raises(InputError, match=r"nameless.dcm: does not name the series"):
        read_annotations(SERIES, [path], "masks")


def test_forms_of_one_mask_and_strange_files(predicted, tmp_path):
    ct = {SERIES: predicted.folder}
    corrected = tmp_path / f"{SERIES}.nii.gz"
    shutil.copy(predicted.output / "masks.nii.gz", corrected)
    shutil.copy(corrected, tmp_path / f"._{SERIES}.nii.gz")
    inner = tmp_path / SERIES
    inner.mkdir()
    shutil.copy(corrected, inner / "scan_v1.2.nii.gz")
    found, passed = find_masks(tmp_path, ct)
    assert found == {SERIES: [corrected, inner / "scan_v1.2.nii.gz"]}
    ((hidden, reason),) = passed
    assert hidden.name == f"._{SERIES}.nii.gz"
    assert reason.startswith("a hidden file")
    assert find_masks(tmp_path, ct, [inner])[0] == {SERIES: [corrected]}
    sitk.WriteImage(sitk.ReadImage(str(corrected)), str(tmp_path / f"{SERIES}.seg.nrrd"))
    with pytest.raises(InputError, match=r"are of one reader: keep the one that was corrected"):
        find_masks(tmp_path, ct)
    (tmp_path / f"{SERIES}.seg.nrrd").unlink()
    (tmp_path / "findings.json").write_text("[]")
    assert "not what `nodulenet predict` writes" in find_masks(tmp_path, ct)[1][1][1]


def test_index_tells_masks_from_lungs_and_from_ct(predicted, tmp_path):
    shutil.copytree(predicted.folder, tmp_path / "data/ct")
    for folder, name in (("masks", f"{SERIES}_rad1"), ("lungs", SERIES)):
        (tmp_path / "data" / folder).mkdir()
        target = tmp_path / "data" / folder / f"{name}.nii.gz"
        shutil.copy(predicted.output / "masks.nii.gz", target)
    (tmp_path / "data/masks/catalog.xml").write_text("<catalog/>")
    data = tmp_path / "data"
    table, passed, _ = index_folders(data / "ct", data / "masks", data / "lungs")
    assert table["annotations"].tolist() == [str(data / f"masks/{SERIES}_rad1.nii.gz")]
    assert table["lung_mask"].tolist() == [str(data / f"lungs/{SERIES}.nii.gz")]
    assert data / "masks/catalog.xml" in [path for path, _ in passed]
    table, _, _ = index_folders(data, data, data / "lungs")
    assert table["annotations"].tolist() == [str(data / f"masks/{SERIES}_rad1.nii.gz")]
    with pytest.raises(InputError, match="the folder of masks holds that of the CT"):
        index_folders(data / "ct", data)


def test_masks_are_found_by_series(predicted, tmp_path):
    ct = {SERIES: predicted.folder}
    for name in ("seg.dcm", "masks.nii.gz", "findings.json"):  # as predict leaves them
        shutil.copy(predicted.output / name, tmp_path)
    with pytest.raises(InputError, match=r"masks.nii.gz and seg.dcm are of one reader"):
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
