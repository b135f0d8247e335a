"""The findings' masks as a DICOM segmentation that refers to the source slices.

highdicom is imported only when an object is made: importing it is slow, and most scans are not
DICOM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nodulenet import __version__
from nodulenet.findings.measure import Finding, paint_findings
from nodulenet.findings.scans import Source

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.dataset import Dataset

SERIES_NUMBER = 9801
MANUFACTURER = "nodulenet"
NEEDED = ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Tracked:
    """Identification of a finding in every DICOM object: number, tracking ID and tracking UID."""

    number: int
    name: str
    uid: str


def new_tracking(findings: Sequence[Finding]) -> list[Tracked]:
    """New tracking IDs for findings."""
    from pydicom.uid import generate_uid

    return [Tracked(f.number, f"Nodule {f.number}", generate_uid()) for f in findings]


def source_images(sources: Sequence[Source]) -> list[Dataset]:
    """The source images of the slices, each once."""
    return list({id(source.header): source.header for source in sources}.values())


def missing_tag(sources: Sequence[Source]) -> str:
    """A tag that objects which refer to these slices need and that one of them lacks, or ""."""
    for name in NEEDED:
        if any(not header.get(name) for header in source_images(sources)):
            return name
    return ""


def build_segmentation(
    sources: Sequence[Source],
    findings: Sequence[Finding],
    tracked: Sequence[Tracked],
    fingerprint: str,
) -> Segmentation | None:
    """A binary segmentation with one segment per finding that has a mask; None if none has.

    sources: of the slices in the order of the masks' grid. Segments are numbered 1, 2, ... in the
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
    header = sources[0].header
    labels = paint_findings(
        [f for f, _ in pairs], (len(sources), header.Rows, header.Columns), from_one=True
    )
    return Segmentation(
        source_images=source_images(sources),
        pixel_array=by_frame(labels, sources),
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


def by_frame(labels: NDArray, sources: Sequence[Source]) -> NDArray:
    """Labels (z, y, x) in the order of the source images' frames, empty for frames without a slice.

    Raises `ValueError` for several multi-frame images: a segmentation can refer to only one.
    """
    frames = [source.frame for source in sources]
    if None in frames:
        return labels
    images = source_images(sources)
    if len(images) > 1:
        raise ValueError(f"the series is {len(images)} multi-frame files, not one")
    placed = np.zeros((int(images[0].NumberOfFrames), *labels.shape[1:]), labels.dtype)
    placed[[frame - 1 for frame in frames if frame]] = labels
    return placed


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
