"""The tissue of the lungs."""

from dataclasses import replace

import numpy as np
import pytest

from nodulenet.phantom.chest import build_chest
from nodulenet.phantom.grid import make_grid
from nodulenet.phantom.parameters import draw_parameters
from nodulenet.phantom.tissue import prepare_tissue, tissue_slice

BULLA_HU = -950


def test_a_lobule_of_emphysema_is_as_thick_as_it_is_wide() -> None:
    drawn = draw_parameters(3, "pretrain")
    drawn = replace(drawn, emphysema=0.5, grain=0.0, patches=0.0, lung_hu=-850.0, gradient=0.0)
    grid = make_grid((2.0, 2.0, 2.0), (8, 130, 150))
    chest = build_chest(grid, drawn, [], np.random.default_rng(3))
    tissue = prepare_tissue(grid, chest.anatomy, drawn, np.random.default_rng(4))
    bullae = np.array([tissue_slice(tissue, index) < BULLA_HU for index in range(8)])
    position = grid.position(np.indices(grid.shape).reshape(3, -1).T)
    bullae &= chest.anatomy.lung_depth(position).reshape(grid.shape) > 5

    def alike(moved: np.ndarray, still: np.ndarray) -> float:
        return float((moved & still).sum() / (moved | still).sum())

    along_z = alike(bullae[1:], bullae[:-1])
    in_plane = alike(bullae[:, :, 1:], bullae[:, :, :-1])
    assert bullae.mean() > 0.01
    assert along_z == pytest.approx(in_plane, abs=0.1)
