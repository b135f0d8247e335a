"""The findings' measurements as a DICOM structured report: TID 1500, one group per finding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    SourceImageForRegion,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from nodulenet import __version__
from nodulenet.findings.detector import Algorithm
from nodulenet.findings.dicom_seg import MANUFACTURER, Tracked, source_images
from nodulenet.findings.measure import Finding
from nodulenet.findings.scans import Source
from nodulenet.imaging import Volume

Group = (
    PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
)

SERIES_NUMBER = 9802
CIRCLE_DECIMALS = 3


def build_report(
    sources: Sequence[Source],
    marked: Sequence[tuple[Finding, Tracked]],
    scan: Volume,
    segmentation: Segmentation | None,
    algorithm: Algorithm,
) -> ComprehensiveSR:
    """A measurement report with one group per finding, with the segmentation's tracking IDs.

    A finding with a mask refers to its segment and has volume, diameter, longest axis, mean HU
    and certainty (the probability in percent); one without is a circle of its diameter in the
    nearest slice, with diameter and certainty. scan: gives that slice and the circle's place.
    """
    groups: list[Group] = []
    region: ReferencedSegment | ImageRegion
    segment = 0
    for finding, name in marked:
        if segmentation is not None and finding.mask is not None:
            segment += 1
            seen = np.flatnonzero(finding.mask.mask.any(axis=(1, 2))) + finding.mask.offset[0]
            slices = [sources[z] for z in seen.tolist()]
            region = _segment_reference(segmentation, segment, slices)
        else:
            region = _circle(finding, scan, sources)
        groups.append(_group(finding, name, region, algorithm))
    images = source_images(sources)
    report = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        # The optional image library of highdicom needs one position per image; multi-frame images
        # have many.
        referenced_images=images if sources[0].frame is None else None,
    )
    evidence = [*images, *([] if segmentation is None else [segmentation])]
    return ComprehensiveSR(
        evidence=evidence,
        content=report,
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description="nodulenet: measurements (research)",
    )


def _observer() -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[MANUFACTURER, __version__]),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=f"{MANUFACTURER} {__version__}",
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _group(
    finding: Finding,
    tracked: Tracked,
    region: ReferencedSegment | ImageRegion,
    algorithm: Algorithm,
) -> Group:
    shared: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(uid=tracked.uid, identifier=tracked.name),
        "finding_type": codes.SCT.Nodule,
        "algorithm_id": AlgorithmIdentification(
            MANUFACTURER,
            __version__,
            parameters=[f"{name}, SHA-256 {digest}" for name, digest in algorithm.networks],
            family=codes.DCM.ArtificialIntelligence,
        ),
        "finding_sites": [FindingSite(codes.SCT.Lung)],
        "measurements": _measurements(finding),
    }
    if isinstance(region, ReferencedSegment):
        return VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=region, **shared
        )
    return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **shared)


def _segment_reference(
    segmentation: Segmentation, number: int, slices: Sequence[Source]
) -> ReferencedSegment:
    """A reference to a segment and the slices, or the frames of images, that it lies in.

    highdicom's `from_segmentation` fails if there is only one segment: its number is then in the
    shared functional groups and not in those of the frames.
    """
    return ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_images=[
            SourceImageForSegmentation(
                image.SOPClassUID, image.SOPInstanceUID, frames_in(image, slices)
            )
            for image in source_images(slices)
        ],
    )


def frames_in(image: Dataset, slices: Sequence[Source]) -> list[int] | None:
    """The frame numbers of slices in an image, from 1; None for an image of one slice."""
    own = (source.frame for source in slices if source.header is image)
    return sorted(frame for frame in own if frame is not None) or None


def _circle(finding: Finding, scan: Volume, sources: Sequence[Source]) -> ImageRegion:
    """The finding's circle in the nearest slice; DICOM counts from the first pixel's corner."""
    z, y, x = scan.to_voxel(finding.position).tolist()
    source = sources[int(np.clip(round(z), 0, len(sources) - 1))]
    header = source.header
    radius = finding.diameter_mm / 2 / scan.spacing[2]
    points = np.array([[x + 0.5, y + 0.5], [x + 0.5 + radius, y + 0.5]])
    return ImageRegion(
        graphic_type=GraphicTypeValues.CIRCLE,
        graphic_data=points.round(CIRCLE_DECIMALS),
        source_image=SourceImageForRegion(
            header.SOPClassUID, header.SOPInstanceUID, frames_in(header, [source])
        ),
    )


def _measurements(finding: Finding) -> list[Measurement]:
    values = [
        (codes.SCT.Volume, finding.volume_mm3, codes.UCUM.CubicMillimeter, None),
        (codes.SCT.Diameter, finding.diameter_mm, codes.UCUM.Millimeter, None),
        (codes.SCT.LongAxis, finding.long_axis_mm, codes.UCUM.Millimeter, None),
        (codes.DCM.AttenuationCoefficient, finding.mean_hu, codes.UCUM.HounsfieldUnit,
         codes.SCT.Mean),
        (codes.DCM.CertaintyOfFinding, 100 * finding.probability, codes.UCUM.Percent, None),
    ]  # fmt: skip
    return [
        Measurement(name=name, value=round(value, 3), unit=unit, derivation=derivation)
        for name, value, unit, derivation in values
        if value is not None
    ]
