"""Boxes of listed nodules: their voxels, their rows, and what becomes of them in the 1 mm grid."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.annotations import ListedNodule, Reading
from nodulenet.files import InputError
from nodulenet.imaging import (
    Volume,
    blank,
    cut_listed,
    findings_table,
    label_volume,
    listed_findings,
    listed_groups,
    read_nodules,
    target_grid,
    write_nodules,
)

# Slices of 2.5 mm, pixels of 0.5 mm; x falls along its axis, as in a flipped header.
AFFINE = np.array([[0, 0, -0.5, 100], [0, 0.5, 0, 20], [2.5, 0, 0, -30], [0, 0, 0, 1]], float)
SHAPE = (20, 60, 80)
PLACE = blank(AFFINE, SHAPE)


def at(z, y, x, diameter, line=2, place=PLACE, sides=None):
    """A nodule at a voxel index."""
    return ListedNodule(tuple(place.to_world(np.array([z, y, x])).tolist()), diameter, line, sides)


def box(group):
    return [(a, a + n - 1) for a, n in zip(group.offset, group.mask.shape, strict=True)]


def table_of(listed, place=PLACE):
    reading = Reading("1.2.3", (), "t.csv", "0", (), tuple(listed))
    groups = listed_groups(listed, place)
    measured = findings_table(reading, groups, place, 1)
    return groups, listed_findings(measured, groups, listed)


def test_a_cube_by_hand():
    (group,) = listed_groups([ListedNodule((80, 35, -5), 7.2, 2)], PLACE)
    # Voxel (10, 30, 40). z: 7.2 mm are 2.88 slices, so from 8.56 to 11.44; y: 14.4 voxels, from
    # 22.8 to 37.2; x likewise, from 32.8 to 47.2.
    assert box(group) == [(9, 11), (23, 37), (33, 47)]
    assert group.mask.all()
    assert group.members == ((0, 0),)


def test_a_box_by_hand():
    """6 mm along x (12 voxels), 3 along y (6), 10 along z (4 slices)."""
    nodule = at(10, 30, 40, 10, sides=(6.0, 3.0, 10.0))
    (group,) = listed_groups([nodule], PLACE)
    assert box(group) == [(8, 11), (27, 32), (34, 45)]
    assert group.mask.all()
    _, table = table_of([nodule])
    row = table.iloc[0]
    assert row["diameter_mm"] == 10
    assert row["volume_mm3"] == pytest.approx(np.pi / 6 * 180)
    assert row["equivalent_diameter_mm"] == pytest.approx(180 ** (1 / 3))
    assert row[list("zyxdhw")].tolist() == [8, 27, 34, 4, 6, 12]


def test_the_smaller_of_two_boxes_keeps_its_voxels():
    """A long thin box has the larger side and the smaller volume."""
    long, cube = at(10, 30, 40, 12, sides=(12.0, 2.0, 2.5)), at(10, 30, 40, 8)
    groups, table = table_of([long, cube])
    assert table["diameter_mm"].tolist() == [8, 12]
    assert [group.members for group in groups] == [((0, 1),), ((0, 0),)]


def test_a_side_between_two_voxels_has_its_length_everywhere():
    for y in (30, 31):
        (group,) = listed_groups([at(10, y, 40, 7)], PLACE)
        assert group.mask.shape == (3, 14, 14)


def test_an_unknown_diameter_is_10_mm():
    (group,) = listed_groups([at(10, 30, 40, -1)], PLACE)
    assert group.mask.shape == (4, 20, 20)


def test_a_tiny_nodule_has_at_least_2_mm():
    (group,) = listed_groups([at(10.4, 30.4, 40, 0.1)], PLACE)
    assert box(group) == [(10, 10), (29, 32), (38, 41)]


def test_a_cube_is_cut_at_the_edge_and_this_is_told():
    inside, over = at(10, 30, 40, 6, line=2), at(0, 59, 2, 6, line=7)
    box_over = at(19, 30, 40, 8, line=9, sides=(6.0, 7.5, 8.0))
    assert cut_listed([inside, over, box_over], PLACE) == (
        "line 7: its box of 6 x 6 x 6 mm is cut at the scan's edge",
        "line 9: its box of 6 x 7.5 x 8 mm is cut at the scan's edge",
    )
    assert box(listed_groups([over], PLACE)[0]) == [(0, 1), (53, 59), (0, 7)]


@pytest.mark.parametrize("index", [(-0.6, 30, 40), (19.6, 30, 40), (10, 30, 79.6)])
def test_a_position_outside_the_scan_is_an_error(index):
    with pytest.raises(InputError, match=r"^line 9: the position \(.*\) mm, index .*, is outside"):
        listed_groups([at(10, 30, 40, 6), at(*index, 6, line=9)], PLACE)


@pytest.mark.parametrize("index", [(-0.5, 59.5, 79.5), (19.5, -0.5, -0.5)])
def test_the_outermost_voxels_are_inside(index):
    (group,) = listed_groups([at(*index, 0.1)], PLACE)
    assert group.mask.size


def test_rows_are_as_listed(tmp_path: Path):
    listed = [
        ListedNodule((80.1234567891, 35.000000001, -5), 7.2, 2),
        ListedNodule((79, 34, -4), -1, 3),
        ListedNodule((78, 33, -3), 0.5, 4),
    ]
    groups, table = table_of(listed)
    # The largest cube first: the side of the second is 10 mm.
    order = [listed[1], listed[0], listed[2]]
    write_nodules(tmp_path / "n.npz", tmp_path / "n.csv", groups, table)
    masks, again = read_nodules(tmp_path / "n.npz", tmp_path / "n.csv")
    for columns in (["coordX", "coordY", "coordZ"], ["centroidX", "centroidY", "centroidZ"]):
        assert again[columns].to_numpy().tolist() == [list(nodule.centre) for nodule in order]
    for column in ("diameter_mm", "equivalent_diameter_mm"):
        assert again[column].tolist() == [-1, 7.2, 0.5]
    assert again["volume_mm3"].tolist() == pytest.approx([0, 195.4322, 0.0654498])
    assert again["kind"].tolist() == ["nodule"] * 3
    assert again["label"].tolist() == [label for label, _ in masks] == [1, 2, 3]
    assert again["level"].tolist() == [4, 4, 4]
    assert again[list("dhw")].to_numpy().tolist() == [list(m.mask.shape) for _, m in masks]
    assert "80.1234567891,35.000000001,-5," in (tmp_path / "n.csv").read_text()


def test_a_small_nodule_within_a_large_one_keeps_its_voxels():
    listed = [at(10, 30, 40, 4), at(10, 30, 40, 12)]
    groups, table = table_of(listed)
    grid, shape = target_grid(AFFINE, SHAPE)
    masks = [(n, group.cropped) for n, group in enumerate(groups, 1)]
    _, painted = label_volume(masks, AFFINE, grid, shape)
    assert table["diameter_mm"].tolist() == [12, 4]
    assert all(nodule["voxels"] > 0 for nodule in painted.values())
    assert painted[2]["lost"] == ""


@given(
    spacing=st.tuples(*[st.floats(0.4, 5)] * 3),
    flips=st.tuples(*[st.sampled_from((-1, 1))] * 3),
    centre=st.tuples(*[st.floats(20, 24)] * 3),
    diameter=st.floats(0.1, 14),
)
def test_labels_keep_to_the_cube(spacing, flips, centre, diameter):
    """In the 1 mm grid no cube vanishes, and each face of the label is near the cube's."""
    affine = np.eye(4)[[2, 1, 0, 3]] * np.array([*np.multiply(spacing, flips), 1])
    affine[:3, 3] = (-7, 11, 300)
    place = blank(affine, tuple(np.ceil(45 / np.array(spacing)).astype(int).tolist()))
    index = np.array(centre) / spacing
    (group,) = listed_groups([at(*index, diameter, place=place)], place)
    grid, shape = target_grid(affine, place.array.shape)
    labels, painted = label_volume([(1, group.cropped)], affine, grid, shape)
    assert painted[1]["lost"] == ""
    used = np.argwhere(labels == 1)
    middle = Volume(labels, grid).to_voxel(place.to_world(index))
    side = max(diameter, 2)
    # Half a voxel of the scan where it is drawn, half of the new grid where it is sampled.
    allowed = 0.6 * np.array(spacing) + 0.5
    thin = diameter - np.array(spacing) < 2
    allowed[thin] += np.array(spacing)[thin] / 2  # a whole voxel more, to be of 2 mm
    assert (np.abs(used.min(axis=0) - 0.5 - (middle - side / 2)) <= allowed).all()
    assert (np.abs(used.max(axis=0) + 0.5 - (middle + side / 2)) <= allowed).all()
