"""SEG and SR of an enhanced multi-frame CT refer to its frames."""

from types import SimpleNamespace

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from chest import check_by_others, sample, turned_affine, write_dicom
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.uid import generate_uid

from nodulenet.findings.detector import Algorithm
from nodulenet.findings.dicom_seg import build_segmentation, new_tracking
from nodulenet.findings.dicom_sr import build_report
from nodulenet.findings.measure import Finding
from nodulenet.findings.predict import predict_scan
from nodulenet.findings.scans import find_scans, slice_sources
from nodulenet.findings.threshold import Threshold

ALGORITHM = Algorithm((("a.pt", "ab"),), "ff")
AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)


def enhanced(folder, slices, part=slice(None)):
    """The slices, whose order is that of InstanceNumber, as one enhanced image."""
    folder.mkdir(exist_ok=True)
    series = "1.2.826.77.9"
    for data in slices:
        data.AcquisitionNumber = 1
    image = LegacyConvertedEnhancedCTImage(slices[part], series, 5, generate_uid(), 1)
    path = folder / f"{part.start or 0}.dcm"
    image.save_as(path)
    return path


@pytest.fixture(scope="module")
def framed(tmp_path_factory, detector):
    """A multi-frame scan predicted; its frames run from the head down."""
    folder = tmp_path_factory.mktemp("framed")
    volume = sample(turned_affine(AXIAL))
    path = enhanced(folder / "ct", write_dicom(folder / "single", volume))
    (scan,), passed = find_scans(folder / "ct")
    assert passed == []
    content = predict_scan(scan, detector, Threshold(0.5, "given"), folder / "out")
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return SimpleNamespace(
        folder=folder, volume=volume, scan=scan, header=header, content=content,
        output=folder / "out",
    )  # fmt: skip


def heights(header):
    """z of every frame, by its number from 1."""
    groups = header.PerFrameFunctionalGroupsSequence
    places = [group.PlanePositionSequence[0].ImagePositionPatient[2] for group in groups]
    return {number: float(z) for number, z in enumerate(places, 1)}


def test_findings_name_their_frames(framed):
    assert framed.content["notes"] == []
    table = pd.read_csv(framed.output / "findings.csv", dtype={"sop_instance_uid": str})
    assert len(table) == 2
    z = heights(framed.header)
    assert z[1] > z[2]
    assert set(table["sop_instance_uid"]) == {str(framed.header.SOPInstanceUID)}
    assert [z[n] for n in table["frame_number"]] == pytest.approx(table["imageZ"].tolist())


def test_segments_are_the_masks_frame_by_frame(framed):
    seg = hd.seg.segread(framed.output / "seg.dcm")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(framed.output / "masks.nii.gz")))
    z = heights(framed.header)
    by_height = sorted(z, key=z.get)
    planes = seg.get_pixels_by_source_frame(
        framed.header.SOPInstanceUID, by_height, assert_missing_frames_are_empty=True
    )
    for number in (1, 2):
        np.testing.assert_array_equal(planes[..., number - 1] == 1, labels == number)
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        at = frame.PlanePositionSequence[0].ImagePositionPatient
        assert float(at[2]) == pytest.approx(z[source.ReferencedFrameNumber])


def test_the_report_refers_to_the_frames_of_each_segment(framed):
    seg = hd.seg.segread(framed.output / "seg.dcm")
    report = hd.sr.srread(framed.output / "sr.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    for number, group in enumerate(groups, 1):
        (source,) = group.referenced_segment[1:]
        framed_in = {
            frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
            for frame in seg.PerFrameFunctionalGroupsSequence
            if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number
        }
        assert set(source.referenced_frame_numbers) == framed_in
        assert source.referenced_sop_instance_uid == framed.header.SOPInstanceUID
    evidence = [
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    assert sorted(evidence) == sorted([framed.header.SOPInstanceUID, seg.SOPInstanceUID])
    for name in ("seg.dcm", "sr.dcm"):
        check_by_others(framed.output / name)


def test_a_circle_is_in_its_frame(framed, tmp_path):
    sources = slice_sources(framed.scan)
    at = framed.volume.to_world(np.array([7.2, 20.0, 30.0]))
    finding = Finding(1, at, 9.0, 0.7, 0.8, 0.6)
    marked = list(zip([finding], new_tracking([finding]), strict=True))
    assert build_segmentation(sources, marked, ALGORITHM) is None
    build_report(sources, marked, framed.volume, None, ALGORITHM).save_as(tmp_path / "sr.dcm")
    content = hd.sr.srread(tmp_path / "sr.dcm").content
    (group,) = content.get_planar_roi_measurement_groups()
    source = group.roi.ContentSequence[0].ReferencedSOPSequence[0]
    z = heights(framed.header)
    assert z[source.ReferencedFrameNumber] == pytest.approx(framed.volume.slice_z()[7])


def test_of_several_multi_frame_files_a_note_says_why_there_is_none(framed, detector, tmp_path):
    slices = write_dicom(tmp_path / "single", framed.volume)
    for part in (slice(0, 15), slice(15, None)):
        enhanced(tmp_path / "ct", slices, part)
    (scan,), _ = find_scans(tmp_path / "ct")
    content = predict_scan(scan, detector, Threshold(0.5, "given"), tmp_path / "out")
    assert [row["frame_number"] for row in content["findings"]] != [None, None]
    (note,) = content["notes"]
    assert note.startswith("no seg.dcm and no sr.dcm: ")
    assert note.endswith("the series is 2 multi-frame files, not one")
