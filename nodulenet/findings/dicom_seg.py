"""The findings' masks as a DICOM segmentation that refers to the source slices.

Import this module where DICOM is written: highdicom is slow to import, and most scans are not
DICOM.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from nodulenet import __version__
from nodulenet.findings.detector import Algorithm
from nodulenet.findings.measure import Finding, paint_findings
from nodulenet.findings.scans import Source

SERIES_NUMBER = 9801
MANUFACTURER = "nodulenet"
NEEDED = ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Tracked:
    """Identification of a finding in every DICOM object: its tracking ID and tracking UID."""

    name: str
    uid: str


def new_tracking(findings: Sequence[Finding]) -> list[Tracked]:
    """New tracking IDs for findings."""
    return [Tracked(f"Nodule {f.number}", generate_uid()) for f in findings]


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
    marked: Sequence[tuple[Finding, Tracked]],
    algorithm: Algorithm,
) -> Segmentation | None:
    """A binary segmentation with one segment per finding that has a mask; None if none has.

    sources: of the slices in the order of the masks' grid. Segments are numbered 1, 2, ... in the
    order of the findings; a segment's label and tracking ID name its finding. algorithm: its
    hash is the object's device serial number. Raises `ValueError`, `AttributeError` or
    another of highdicom's errors for headers that cannot be referred to.
    """
    pairs = [(finding, name) for finding, name in marked if finding.mask is not None]
    if not pairs:
        return None
    segments = [replace(finding, number=n) for n, (finding, _) in enumerate(pairs, 1)]
    header = sources[0].header
    labels = paint_findings(segments, (len(sources), header.Rows, header.Columns))
    return Segmentation(
        source_images=source_images(sources),
        pixel_array=by_frame(labels, sources),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(n, t, algorithm) for n, (_, t) in enumerate(pairs, 1)],
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number=algorithm.fingerprint[:16],
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


def _description(number: int, tracked: Tracked, algorithm: Algorithm) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=tracked.name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MANUFACTURER,
            version=__version__,
            family=codes.DCM.ArtificialIntelligence,
            parameters={
                f"{what} {number}": text
                for number, network in enumerate(algorithm.networks, 1)
                for what, text in zip(("network", "SHA-256"), network, strict=True)
            },
        ),
        tracking_uid=tracked.uid,
        tracking_id=tracked.name,
        anatomic_regions=[codes.SCT.Lung],
    )
