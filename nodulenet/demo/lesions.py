"""Nodules as the readers drew them, and look-alikes that no reader marked as a nodule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nodulenet.annotations import Group, consensus, mark_mask
from nodulenet.annotations.records import Reading, SliceGeometry
from nodulenet.demo.anatomy import Anatomy
from nodulenet.demo.grid import Canvas, Floats, Grid, edge
from nodulenet.demo.vessels import Tree

Kind = Literal["granuloma", "junction", "thickening", "plaque", "scar"]
CONSENSUS_LEVEL = 3
SOLID_HU, PART_SOLID_HU = 25.0, -120.0
FAINT_HU = {2: -430.0, 1: -560.0}
MARGIN_MM = 0.55
COUNTS: dict[Kind, int] = {"granuloma": 5, "junction": 8, "thickening": 4, "plaque": 4, "scar": 4}
CLEARANCE_MM = 9.0


@dataclass(frozen=True, eq=False)
class Lesion:
    """A consensus group to be rendered.

    centre: (z, y, x) mm of its box; radius: half its largest side, mm; agreement: (d, h, w)
    float32, the share of its marks that contain the voxel; offset: first voxel; hu: of its core.
    """

    centre: NDArray[np.float64]
    radius: float
    agreement: Floats
    offset: tuple[int, int, int]
    hu: float


@dataclass(frozen=True, eq=False)
class Distractor:
    """An ellipsoid that is not a nodule: centre (z, y, x) mm, axes as rows, radii mm, HU."""

    kind: Kind
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    radii: NDArray[np.float64]
    hu: float


def lesions_of(reading: Reading, geometry: SliceGeometry, grid: Grid) -> list[Lesion]:
    """Every consensus group of a reading; those below the level are fainter."""
    groups = consensus(reading.sessions, geometry, level=1)
    return [_lesion(group, reading, geometry, grid) for group in groups]


def _lesion(group: Group, reading: Reading, geometry: SliceGeometry, grid: Grid) -> Lesion:
    marks = [reading.sessions[session].marks[mark] for session, mark in group.members]
    agreement = np.zeros(group.mask.shape, np.float32)
    for mark in marks:
        mask, offset = mark_mask(mark, geometry)
        start = np.array(offset) - group.offset
        agreement[tuple(map(slice, start, start + mask.shape))] += mask / np.float32(len(marks))
    texture = float(np.mean([mark.characteristics.get("texture", 5) for mark in marks]))
    solid = SOLID_HU if texture > 3.5 else PART_SOLID_HU
    size = np.array(group.mask.shape)
    centre = grid.position(np.array(group.offset) + (size - 1) / 2)
    return Lesion(
        centre, float((size * grid.spacing).max() / 2), agreement, group.offset,
        solid if group.level >= CONSENSUS_LEVEL else FAINT_HU[group.level],
    )  # fmt: skip


def paint_lesion(canvas: Canvas, lesion: Lesion) -> None:
    """Paint a lesion where it is denser than what is there.

    The margin is soft about the outline of the union, and the core, where all readers agree, is
    denser than the rim that only one of them drew.
    """
    pad, grid = 3, canvas.grid
    opacity = np.where(lesion.agreement > 0, 0.72 + 0.28 * lesion.agreement, 0).astype(np.float32)
    opacity = np.pad(opacity, pad)
    opacity = gaussian_filter(opacity, [MARGIN_MM / step for step in grid.spacing])
    first = np.array(lesion.offset) - pad
    low = np.maximum(first, 0)
    high = np.minimum(first + opacity.shape, grid.shape)
    opacity = opacity[tuple(map(slice, low - first, high - first))]
    box = tuple(map(slice, low, high))
    behind = canvas.volume[box]
    canvas.volume[box] = np.maximum(behind, behind + opacity * (np.float32(lesion.hu) - behind))


def place_distractors(
    anatomy: Anatomy, lesions: Sequence[Lesion], trees: Sequence[Tree], grid: Grid,
    rng: np.random.Generator,
) -> list[Distractor]:  # fmt: skip
    """Look-alikes within the scan, away from every lesion and from each other."""
    taken = [(lesion.centre, lesion.radius) for lesion in lesions]
    found: list[Distractor] = []
    for kind, count in COUNTS.items():
        sites = _sites(kind, anatomy, trees)
        inside = (sites[:, 0] > grid.z[0] + 4) & (sites[:, 0] < grid.z[-1] - 4)
        # On voxel centres: a small spot between two thick slices would hardly show.
        sites = grid.position(np.rint(grid.index(rng.permutation(sites[inside]))))
        placed = 0
        for site in sites:
            if placed == count:
                break
            if all(np.linalg.norm(site - c) > r + CLEARANCE_MM for c, r in taken):
                taken.append((site, 6.0))
                found.append(_distractor(kind, site, anatomy, rng))
                placed += 1
    return found


def _sites(kind: Kind, anatomy: Anatomy, trees: Sequence[Tree]) -> NDArray[np.float64]:
    """Positions (N, 3) as (z, y, x) mm where a distractor of this kind may lie."""
    if kind == "junction":
        nodes = []
        for tree in trees:
            branches = np.bincount(tree.parents, minlength=len(tree.nodes))
            nodes.append(tree.nodes[(branches >= 2) & (tree.radii > 0.7) & (tree.radii < 1.7)])
        sites = np.concatenate(nodes)
        return sites[anatomy.lung_depth(sites) > 5]
    depth = anatomy.lungs
    if kind == "plaque":
        # Plaques lie on the ribs, not where the lungs meet the mediastinum.
        chosen = (np.abs(depth) < 1.5) & (anatomy.thorax < 7)
    elif kind == "thickening":
        chosen = (depth > 9) & (np.abs(fissure(anatomy, *anatomy.grid.open())) < 1.5)
    else:
        chosen = depth > 7
    return anatomy.grid.position(np.argwhere(chosen))


def fissure(anatomy: Anatomy, z: Floats | float, y: Floats, x: Floats) -> Floats:
    """Signed distance (mm) from the oblique fissures, one sheet through both lungs."""
    across = (x - np.float32(anatomy.middle)) / np.float32(anatomy.half_width)
    sheet = np.float32(anatomy.centre_y + 4) - 0.55 * z + np.float32(16) * across**2
    return (y - sheet) * np.float32(0.87)


def _distractor(
    kind: Kind, site: NDArray, anatomy: Anatomy, rng: np.random.Generator
) -> Distractor:
    if kind == "granuloma":
        return Distractor(kind, site, np.eye(3), np.full(3, rng.uniform(0.9, 1.4)), 650.0)
    if kind == "junction":
        return Distractor(kind, site, np.eye(3), np.full(3, rng.uniform(1.5, 2.0)), 45.0)
    if kind == "thickening":
        axes = _axes(np.array([0.48, 0.87, 0.0]), rng)
        return Distractor(kind, site, axes, np.array([1.1, rng.uniform(4, 6), 7.5]), -40.0)
    if kind == "plaque":
        normal = [
            np.subtract(*anatomy.lung_depth(np.array([site + step, site - step])))
            for step in 3.0 * np.eye(3)
        ]
        flat = np.array([2.0, rng.uniform(6, 9), rng.uniform(7, 11)])
        return Distractor(kind, site, _axes(np.array(normal, float), rng), flat, 90.0)
    axes = _axes(rng.normal(size=3), rng)
    return Distractor(kind, site, axes, np.array([0.9, 1.2, rng.uniform(7, 11)]), -60.0)


def _axes(normal: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Orthonormal rows, the first along `normal`."""
    basis = np.column_stack([normal, rng.normal(size=(3, 2))])
    return np.linalg.qr(basis)[0].T


def fissure_cover(distance: Floats) -> Floats:
    """Coverage of the thin sheet of a fissure at a distance in mm."""
    return np.float32(0.22) * edge(np.float32(0.4) - np.abs(distance), 1.0)
