"""Painted tubes and ellipsoids add the volume that they have, whatever the voxels."""

import numpy as np
import pytest

from nodulenet.phantom.grid import Grid, make_grid
from nodulenet.phantom.tubes import (
    Ellipsoid,
    Tubes,
    chain,
    join_tubes,
    paint_ellipsoid,
    paint_tubes,
)

LUNG, BLOOD = -850.0, 50.0


def empty(grid: Grid) -> np.ndarray:
    return np.full(grid.shape, LUNG, np.float32)


def added(volume: np.ndarray, grid: Grid) -> float:
    """Volume in mm³ that blood fills in lung tissue."""
    share = (volume.astype(float) - LUNG) / (BLOOD - LUNG)
    return float(share.sum() * np.prod(grid.spacing))


@pytest.mark.parametrize("radius", [0.2, 0.35, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("way", [(0, 0, 1), (1, 0, 0), (0.3, 0.5, 0.8)])
def test_a_tube_adds_its_cross_section(radius: float, way: tuple[float, ...]) -> None:
    """Of a tube twice as long less the tube, so that the round ends cancel; a mean of positions."""
    grid = make_grid((0.5, 0.5, 0.5), (80, 80, 80))
    unit = np.array(way) / np.linalg.norm(way)
    sections = []
    for place in np.random.default_rng(0).uniform(-0.25, 0.25, (12, 3)):
        volumes = []
        for half in (6.0, 12.0):
            volume = empty(grid)
            ends = np.array([place - half * unit, place + half * unit])
            paint_tubes(volume, grid, chain(ends, np.full(2, radius)), BLOOD, LUNG)
            volumes.append(added(volume, grid))
        sections.append((volumes[1] - volumes[0]) / 12)
    assert np.mean(sections) == pytest.approx(np.pi * radius**2, rel=0.08)


def test_the_strongest_of_overlapping_tubes_counts() -> None:
    grid = make_grid((0.8, 0.7, 0.7), (20, 30, 30))
    one = chain(np.array([[0.0, 0, -6], [0, 0, 6]]), np.array([0.3, 0.9]))
    other = chain(np.array([[0.0, -6, 0], [0, 6, 0]]), np.array([0.5, 0.5]))
    alone = []
    for tubes in (one, other):
        alone.append(empty(grid))
        paint_tubes(alone[-1], grid, tubes, BLOOD, LUNG)
    both = empty(grid)
    paint_tubes(both, grid, join_tubes([one, other]), BLOOD, LUNG)
    assert np.array_equal(both, np.maximum(*alone))


def test_air_in_a_wall_lowers_and_leaves_what_is_lower() -> None:
    grid = make_grid((0.7, 0.7, 0.7), (24, 24, 24))
    volume = empty(grid)
    lumen = chain(np.array([[-20.0, 0, 0], [20, 0, 0]]), np.full(2, 2.0))
    paint_tubes(volume, grid, lumen.wider(1.0), 20.0, LUNG)
    paint_tubes(volume, grid, lumen, -990.0, 20.0)
    line = volume[12, 12]
    assert line[12] == pytest.approx(-990, abs=15)
    assert line[15] > -200  # 2.45 mm from the axis: in the wall
    assert line[0] == LUNG


def test_tubes_beyond_the_grid_change_nothing() -> None:
    grid = make_grid((1, 1, 1), (5, 5, 5))
    volume = empty(grid)
    far = np.array([[50.0, 0, 0], [60, 0, 0]])
    paint_tubes(volume, grid, chain(far, np.full(2, 2.0)), BLOOD, LUNG)
    paint_tubes(volume, grid, join_tubes([]), BLOOD, LUNG)
    paint_ellipsoid(volume, grid, Ellipsoid(far[0], np.eye(3), np.full(3, 4.0), BLOOD), LUNG)
    assert (volume == LUNG).all()


@pytest.mark.parametrize("radii", [(0.8, 0.8, 0.8), (1.2, 2.0, 3.0), (4.0, 4.0, 4.0)])
def test_an_ellipsoid_adds_about_its_volume(radii: tuple[float, ...]) -> None:
    grid = make_grid((0.5, 0.5, 0.5), (40, 40, 40))
    volume = empty(grid)
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    paint_ellipsoid(volume, grid, Ellipsoid(np.zeros(3), axes, np.array(radii), BLOOD), LUNG)
    assert added(volume, grid) == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.2)


def test_an_ellipsoid_is_whole_however_it_is_turned() -> None:
    grid, radii = make_grid((0.5, 0.5, 0.5), (64, 64, 64)), np.array([1.5, 6.0, 12.0])
    position = np.moveaxis(np.array(np.meshgrid(grid.z, grid.y, grid.x, indexing="ij")), 0, -1)
    for seed in range(3):
        axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
        volume = empty(grid)
        paint_ellipsoid(volume, grid, Ellipsoid(np.zeros(3), axes, radii, BLOOD), LUNG)
        inside = np.linalg.norm(position @ axes.T / radii, axis=-1) < 1
        assert (volume[inside] > (LUNG + BLOOD) / 2 - 100).all()


def test_a_chain_joins_its_points() -> None:
    tubes = chain(np.arange(9.0).reshape(3, 3), np.array([1.0, 2, 3]))
    assert isinstance(tubes, Tubes)
    assert np.array_equal(tubes.ends[0], tubes.starts[1])
    assert tubes.radii.tolist() == [[1, 2], [2, 3]]
