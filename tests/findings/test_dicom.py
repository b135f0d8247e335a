"""The DICOM objects, read back by highdicom and pydicom, and by tools of others if at hand."""

import shutil
import subprocess

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from chest import check_by_others
from pydicom.sr.codedict import codes

from nodulenet.findings.detector import Algorithm, Detector
from nodulenet.findings.dicom_seg import build_segmentation, new_tracking
from nodulenet.findings.dicom_sr import build_report
from nodulenet.findings.measure import Finding
from nodulenet.masks import CroppedMask
from nodulenet.weights import BUNDLED_NAME

ALGORITHM = Algorithm((("a.pt", "ab"),), "ff")


@pytest.fixture(scope="module")
def seg(predicted):
    return hd.seg.segread(predicted.output / "seg.dcm")


def groups(path):
    report = hd.sr.srread(path)
    return report.content.get_volumetric_roi_measurement_groups()


def test_segments_are_the_masks_slice_by_slice(predicted, seg):
    assert seg.number_of_segments == 2
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(predicted.output / "masks.nii.gz")))
    by_z = sorted(predicted.slices, key=lambda data: data.ImagePositionPatient[2])
    assert [str(data.SOPInstanceUID) for data in by_z] == [
        str(data.SOPInstanceUID) for data in predicted.slices
    ]
    planes = seg.get_pixels_by_source_instance(
        [str(data.SOPInstanceUID) for data in by_z], assert_missing_frames_are_empty=True
    )
    for number in (1, 2):
        np.testing.assert_array_equal(planes[..., number - 1] == 1, labels == number)


def test_frames_refer_to_the_slice_at_their_own_position(predicted, seg):
    places = {str(d.SOPInstanceUID): d.ImagePositionPatient for d in predicted.slices}
    assert len(seg.PerFrameFunctionalGroupsSequence) > 5
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        at = frame.PlanePositionSequence[0].ImagePositionPatient
        assert list(at) == pytest.approx(list(places[str(source.ReferencedSOPInstanceUID)]))


def test_segmentation_belongs_to_the_study_and_names_its_segments(predicted, seg):
    first = predicted.slices[0]
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert seg[name].value == first[name].value
    assert seg.SeriesInstanceUID != first.SeriesInstanceUID
    for number, segment in enumerate(seg.SegmentSequence, 1):
        assert segment.SegmentNumber == number
        assert segment.SegmentLabel == segment.TrackingID == f"Nodule {number}"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Nodule"
    assert len({segment.TrackingUID for segment in seg.SegmentSequence}) == 2


def test_report_has_a_group_a_finding_with_the_table_s_values(predicted, seg):
    found = groups(predicted.output / "sr.dcm")
    assert len(found) == 2
    for row, group, segment in zip(
        predicted.content["findings"], found, seg.SegmentSequence, strict=True
    ):
        assert group.tracking_identifier == segment.TrackingID
        assert group.tracking_uid == segment.TrackingUID
        assert group.finding_type == codes.SCT.Nodule
        reference = group.referenced_segment
        assert reference.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert reference.referenced_segment_numbers == [segment.SegmentNumber]
        sources = {str(s.referenced_sop_instance_uid) for s in reference[1:]}
        framed = {
            str(f.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
            for f in seg.PerFrameFunctionalGroupsSequence
            if f.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment.SegmentNumber
        }
        assert sources == framed
        values = {m.name.meaning: m for m in group.get_measurements()}
        assert values["Volume"].value == pytest.approx(row["volume_mm3"], abs=0.01)
        assert values["Diameter"].value == pytest.approx(row["diameter_mm"], abs=0.01)
        assert values["Attenuation Coefficient"].value == pytest.approx(row["mean_hu"], abs=0.01)
        assert values["Certainty of Finding"].value == pytest.approx(100 * row["probability"])
        assert values["Volume"].unit == codes.UCUM.CubicMillimeter


def test_report_states_its_evidence(predicted, seg):
    report = pydicom.dcmread(predicted.output / "sr.dcm")
    assert report.SOPClassUID == pydicom.uid.ComprehensiveSRStorage
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    slices = {str(data.SOPInstanceUID) for data in predicted.slices}
    assert evidence == {*slices, str(seg.SOPInstanceUID)}


def test_a_finding_without_a_mask_is_a_circle_in_its_slice(predicted, tmp_path):
    volume = predicted.volume
    at = volume.to_world(np.array([7.2, 20.0, 30.0]))
    finding = Finding(1, at, 9.0, 0.7, 0.8, 0.6)
    marked = list(zip([finding], new_tracking([finding]), strict=True))
    assert build_segmentation(predicted.sources, marked, ALGORITHM) is None
    report = build_report(predicted.sources, marked, volume, None, ALGORITHM)
    report.save_as(tmp_path / "sr.dcm")
    content = hd.sr.srread(tmp_path / "sr.dcm").content
    (group,) = content.get_planar_roi_measurement_groups()
    region = group.roi
    assert region.graphic_type == hd.sr.GraphicTypeValues.CIRCLE
    # DICOM counts from the corner of the first pixel, which is 1.8 mm wide.
    assert region.value.tolist()[0] == pytest.approx([30.5, 20.5], abs=1e-3)
    assert region.value[1, 0] - region.value[0, 0] == pytest.approx(4.5 / 1.8, abs=1e-3)
    source = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert source.ReferencedSOPInstanceUID == predicted.slices[7].SOPInstanceUID
    names = {m.name.meaning for m in group.get_measurements()}
    assert names == {"Diameter", "Certainty of Finding"}


def test_a_single_finding(predicted, tmp_path):
    """DICOM keeps the number of a single segment elsewhere than those of several."""
    mask = CroppedMask(np.ones((3, 4, 5), bool), (7, 20, 30))
    finding = Finding(3, np.zeros(3), 9.0, 0.7, 0.8, 0.6, mask, 648.0, 10.7, 12.0, 5.0)
    marked = list(zip([finding], new_tracking([finding]), strict=True))
    seg = build_segmentation(predicted.sources, marked, ALGORITHM)
    report = build_report(predicted.sources, marked, predicted.volume, seg, ALGORITHM)
    for name, dataset in (("seg.dcm", seg), ("sr.dcm", report)):
        dataset.save_as(tmp_path / name)
        check_by_others(tmp_path / name)
    (group,) = groups(tmp_path / "sr.dcm")
    assert group.referenced_segment.referenced_segment_numbers == [1]
    sources = [item.referenced_sop_instance_uid for item in group.referenced_segment[1:]]
    assert sources == [data.SOPInstanceUID for data in predicted.slices[7:10]]
    planes = hd.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(sources)
    assert planes.sum() == mask.mask.sum()


@pytest.mark.parametrize("name", ["seg.dcm", "sr.dcm"])
def test_dciodvfy_finds_no_error(predicted, name):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian's dicom3tools) is not installed")
    check_by_others(predicted.output / name)


def test_dsrdump_reads_the_report(predicted):
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump (Debian's dcmtk) is not installed")
    said = subprocess.run(
        ["dsrdump", predicted.output / "sr.dcm"], capture_output=True, text=True, check=True
    ).stdout
    assert said.count("Measurement Group") == 2


def test_both_objects_name_the_network_and_no_folder(predicted, seg):
    wanted = {"network 1": "w.pt", "SHA-256 1": "ab" * 32}
    for number in seg.segment_numbers:
        found = seg.get_segment_description(number).algorithm_identification
        assert found.parameters == wanted
    report = pydicom.dcmread(predicted.output / "sr.dcm")
    texts = {element.value for element in report.iterall() if element.keyword == "TextValue"}
    assert f"w.pt, SHA-256 {'ab' * 32}" in texts


def test_a_name_in_dicom_has_no_character_that_separates_parameters():
    facts = {"name": "a", "path": "/home/user/ä,b=c.pt", "sha256": "ab", "branches": []}
    own = Detector(None, None, 8, [facts], {}, 1).algorithm
    assert own.networks == (("?_b_c.pt", "ab"),)
    bundled = Detector(None, None, 8, [facts | {"name": BUNDLED_NAME}], {}, 1).algorithm
    assert bundled.networks == (("bundled detector", "ab"),)
