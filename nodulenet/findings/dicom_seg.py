"""The findings' masks as a DICOM segmentation that refers to the slices they were found in.

highdicom is imported where an object is made: it is slow to import and most scans are no DICOM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodulenet import __version__
from nodulenet.findings.measure import Finding, paint

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.dataset import Dataset

SERIES_NUMBER = 9801
MANUFACTURER = "nodulenet"
NEEDED = ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Tracked:
    """How a finding is named in every DICOM object: number, tracking ID and tracking UID."""

    number: int
    name: str
    uid: str


def track(findings: Sequence[Finding]) -> list[Tracked]:
    """New tracking IDs for findings."""
    from pydicom.uid import generate_uid

    return [Tracked(f.number, f"Nodule {f.number}", generate_uid()) for f in findings]


def missing_tag(headers: Sequence[Dataset]) -> str:
    """A tag that objects which refer to these slices need and that one of them lacks, or ""."""
    for name in NEEDED:
        if any(not header.get(name) for header in headers):
            return name
    return ""


def build_segmentation(
    headers: Sequence[Dataset],
    findings: Sequence[Finding],
    tracked: Sequence[Tracked],
    fingerprint: str,
) -> Segmentation | None:
    """A binary segmentation with one segment a finding that has a mask; None if none has.

    headers: of the slices in the order of the masks' grid. Segments are numbered 1, 2, ... in the
    order of the findings; a segment's label and tracking ID name its finding. fingerprint: hash
    of the weights, the object's device serial number. Raises `ValueError`, `AttributeError` or
    another of highdicom's errors for headers that cannot be referred to.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import generate_uid

    pairs = [(f, t) for f, t in zip(findings, tracked, strict=True) if f.mask is not None]
    if not pairs:
        return None
    numbered = [(number, t) for number, (_, t) in enumerate(pairs, 1)]
    labels = paint(
        [f for f, _ in pairs], (len(headers), headers[0].Rows, headers[0].Columns), from_one=True
    )
    return Segmentation(
        source_images=list(headers),
        pixel_array=labels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(number, t) for number, t in numbered],
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number=fingerprint[:16],
        content_description="Lung nodules, for research only",
        content_label="NODULES",
        series_description="nodulenet: lung nodules (research)",
    )


def _description(number: int, tracked: Tracked) -> SegmentDescription:
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=number,
        segment_label=tracked.name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(),
        tracking_uid=tracked.uid,
        tracking_id=tracked.name,
        anatomic_regions=[codes.SCT.Lung],
    )


def algorithm() -> AlgorithmIdentificationSequence:
    """The identification of this software as an algorithm."""
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    return AlgorithmIdentificationSequence(
        name=MANUFACTURER, version=__version__, family=codes.DCM.ArtificialIntelligence
    )
