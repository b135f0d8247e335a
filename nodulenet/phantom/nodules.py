"""A nodule in a chest: where it lies, how it is turned, its texture, and its voxels."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nodulenet.phantom.donors import Shape
from nodulenet.phantom.grid import Floats, Grid, box_of, edge
from nodulenet.phantom.tubes import Tubes, chain, join_tubes, paint_tubes

Kind = Literal["solid", "part-solid", "ground glass"]
Calcification = Literal["none", "whole", "central", "laminated", "popcorn"]

SOLID_SCORE, PART_SOLID_SCORE = 3.5, 2.4
CALCIFIED_SCORE = 4.5


@dataclass(frozen=True)
class Look:
    """The texture of a nodule: HU of the solid part and of ground glass, width of the margin in mm.

    core: depth (mm) below which a part-solid nodule is solid; cavity: depth below which there is
    air, none if infinite; fade: share of the contrast that a finding has.
    """

    kind: Kind
    solid_hu: float
    glass_hu: float
    margin: float
    core: float
    cavity: float
    calcification: Calcification
    calcium_hu: float
    fade: float
    seed: int


@dataclass(frozen=True, eq=False)
class Nodule:
    """A shape at a centre (z, y, x) in mm; `turn` (3, 3) is orthogonal, `scale` enlarges it.

    bumps: lobulation in mm on the shape's grid, added to every depth; spicules: thin tubes.
    """

    shape: Shape
    centre: NDArray[np.float64]
    turn: NDArray[np.float64]
    scale: float
    bumps: Floats
    look: Look
    spicules: Tubes

    @property
    def radius(self) -> float:
        """Radius of the sphere of the same volume, mm."""
        return self.scale * self.shape.radius

    @property
    def reach(self) -> float:
        """Half the largest side, however it is turned, mm."""
        return self.scale * self.shape.reach * (1 if np.array_equal(self.turn, np.eye(3)) else 1.5)

    def depth(self, field: Floats, position: NDArray) -> NDArray[np.float32]:
        """A field of depths on the shape's grid at positions (..., 3) in mm."""
        into = self.turn.T / self.scale / np.array(self.shape.step)
        places = (position - self.centre).reshape(-1, 3)
        found = _sampled(field, places, into, np.array(self.shape.step))
        return (found * np.float32(self.scale)).reshape(position.shape[:-1])

    def surface(self) -> Floats:
        """Depth below the rendered surface on the shape's grid: the mean of the readers."""
        return self.shape.readers.mean(axis=0) - np.float32(self.shape.gap) + self.bumps


@njit(cache=True, nogil=True)
def _sampled(field, places, into, step):  # type: ignore[no-untyped-def]
    """A field at places (N, 3) about its centre, linearly interpolated; beyond its faces, the
    value at the nearest point of them less the distance from there."""
    found = np.empty(len(places), np.float32)
    first, part = np.empty(3, np.int64), np.empty(3)
    for n in range(len(places)):
        away = 0.0
        for axis in range(3):
            last = field.shape[axis] - 1
            index = last / 2
            for other in range(3):
                index += places[n, other] * into[other, axis]
            within = min(max(index, 0.0), last)
            away += ((index - within) * step[axis]) ** 2
            first[axis] = min(int(within), last - 1)
            part[axis] = within - first[axis]
        z, y, x = first
        value = 0.0
        for corner in range(8):
            dz, dy, dx = corner >> 2, corner >> 1 & 1, corner & 1
            share = (part[0] if dz else 1 - part[0]) * (part[1] if dy else 1 - part[1])
            value += share * (part[2] if dx else 1 - part[2]) * field[z + dz, y + dy, x + dx]
        found[n] = value - np.sqrt(away)
    return found


def draw_look(shape: Shape, scale: float, rng: np.random.Generator) -> Look:
    """A texture that agrees with the readers' scores of the shape."""
    scores = shape.scores
    texture = scores.get("texture", 5.0)
    kind: Kind = "ground glass"
    if texture > SOLID_SCORE:
        kind = "solid"
    elif texture > PART_SOLID_SCORE:
        kind = "part-solid"
    calcified = scores.get("calcification", 6.0) < CALCIFIED_SCORE
    patterns: tuple[Calcification, ...] = ("whole", "central", "laminated", "popcorn")
    radius = scale * shape.radius
    hollow = radius > 5 and rng.uniform() < (
        0.6 if scores.get("internalStructure", 1) > 3 else 0.05
    )
    return Look(
        kind=kind,
        solid_hu=float(rng.uniform(-10, 75)),
        glass_hu=float(rng.uniform(-660, -330)),
        margin=0.7 + max(0.0, 4.5 - scores.get("margin", 4.0)) * float(rng.uniform(0.2, 0.6)),
        core=radius * float(rng.uniform(0.25, 0.6)),
        cavity=radius * float(rng.uniform(0.3, 0.6)) if hollow else np.inf,
        calcification=str(rng.choice(patterns)) if calcified else "none",  # type: ignore[arg-type]
        calcium_hu=float(rng.uniform(200, 900)),
        fade=1.0,
        seed=int(rng.integers(2**31)),
    )


def make_nodule(shape: Shape, scale: float, rng: np.random.Generator) -> Nodule:
    """A shape about the origin with a drawn turn, mirror, texture, lobulation and spicules."""
    look = draw_look(shape, scale, rng)
    bumps = _bumps(shape, rng)
    spicules = _spicules(shape, scale, rng)
    return Nodule(shape, np.zeros(3), random_turn(rng), scale, bumps, look, spicules)


def random_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation (3, 3), mirrored or not, from the uniform distribution (Mezzadri, Notices of the
    AMS 2007)."""
    turn, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    return turn * np.sign(np.diag(upper))


def _bumps(shape: Shape, rng: np.random.Generator) -> Floats:
    """Lobulation: noise over a third of the diameter, as high as the score says."""
    high = 0.06 * (shape.scores.get("lobulation", 1.0) - 1) * shape.radius * rng.uniform(0.3, 1)
    noise = rng.standard_normal(shape.readers.shape[1:], dtype=np.float32)
    noise = gaussian_filter(noise, [0.45 * shape.radius / step for step in shape.step])
    return noise / max(float(noise.std()), 1e-6) * np.float32(high)


def _spicules(shape: Shape, scale: float, rng: np.random.Generator) -> Tubes:
    """Strands from the surface outwards, more and longer ones with a higher score."""
    score = shape.scores.get("spiculation", 1.0) - 1
    number = int(rng.poisson(3.5 * score)) if score > 0.4 else int(rng.uniform() < 0.1)
    radius, strands = shape.radius * scale, []
    for _ in range(number):
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        length = radius * rng.uniform(0.3, 1.0) + rng.uniform(1, 4)
        middle = way * (radius * 0.9 + length / 2) + rng.normal(0, 0.08 * length, 3)
        points = np.array([0.5 * radius * way, middle, way * (radius * 0.9 + length)])
        strands.append(chain(points, rng.uniform(0.35, 0.8) * np.array([1.6, 1.0, 0.4])))
    return join_tubes(strands)


def paint_nodule(volume: Floats, grid: Grid, nodule: Nodule, lung_hu: float) -> None:
    """Paint a nodule where it is denser than what is there; a cavity and its air over it."""
    look = nodule.look
    paint_tubes(volume, grid, nodule.spicules, min(look.solid_hu, 0.0), lung_hu)
    reach = nodule.reach + 2 + look.margin
    box = box_of(grid, nodule.centre - reach, nodule.centre + reach)
    behind = volume[box]
    if behind.size == 0:
        return
    depth = nodule.depth(nodule.surface(), positions(grid, box))
    cover = np.float32(look.fade) * edge(depth, look.margin)
    hu = _texture(depth, nodule, np.array(grid.spacing))
    volume[box] = np.maximum(behind, behind + cover * (hu - behind))
    if np.isfinite(look.cavity):
        inner = edge(depth - np.float32(look.cavity), 0.9)
        volume[box] += inner * (np.float32(-930) - volume[box])


def positions(grid: Grid, box: tuple[slice, slice, slice]) -> NDArray[np.float64]:
    """Positions (d, h, w, 3) as (z, y, x) mm of a box of voxels."""
    axes = [axis[part] for axis, part in zip((grid.z, grid.y, grid.x), box, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _texture(depth: NDArray[np.float32], nodule: Nodule, spacing: NDArray) -> NDArray[np.float32]:
    """HU at every voxel of the box, as if the nodule filled it."""
    look, rng = nodule.look, np.random.default_rng(nodule.look.seed)
    mottle = gaussian_filter(rng.standard_normal(depth.shape, dtype=np.float32), 1.5 / spacing)
    mottle /= max(float(mottle.std()), 1e-6)
    hu = np.float32(look.solid_hu) + 10 * mottle
    if look.kind != "solid":
        glass = np.float32(look.glass_hu) + 55 * mottle
        core = edge(depth - np.float32(look.core) + mottle, 1.5) * (look.kind == "part-solid")
        hu = glass + core * (hu - glass)
    if look.calcification == "none":
        return hu
    radius, calcium = np.float32(nodule.radius), np.float32(look.calcium_hu)
    share = {
        "whole": edge(depth - np.float32(0.3), 1.0),
        "central": edge(depth - np.float32(0.5) * radius, 1.0),
        "laminated": edge(
            np.float32(0.14) * radius - np.abs(depth - np.float32(0.4) * radius), 1.0
        ),
        "popcorn": edge(mottle - np.float32(0.6), 0.6) * edge(depth - 1, 1.0),
    }[look.calcification]
    return hu + share * (calcium - hu)
