"""Lung segmentation: phantoms and the two real scans."""

import numpy as np
import pytest
from scipy import ndimage

from nodulenet.annotations import SliceGeometry, consensus, read_lidc_xml
from nodulenet.files import InputError
from nodulenet.imaging import (
    Volume,
    find_series,
    label_volume,
    preprocess,
    read_volume,
    segment_lungs,
)
from nodulenet.imaging.lungs import enlarge, shrink
from nodulenet.imaging.preprocess import lung_region

SHAPE, SPACING = (60, 150, 170), np.array([4.0, 2.0, 2.0])
LEFT, RIGHT = 3, 4


def grid():
    """World z (up), y (back), x (left) in mm of every voxel, from the body's middle."""
    index = np.indices(SHAPE, sparse=True)
    return [(i - (n - 1) / 2) * s for i, n, s in zip(index, SHAPE, SPACING, strict=True)]


def ellipsoid(centre, radii):
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid(), centre, radii, strict=True)) <= 1


def body_hu():
    """A body on a hollow table, air around."""
    _, y, x = grid()
    hu = np.full(SHAPE, -1000.0)
    hu[np.broadcast_to((y / 100) ** 2 + (x / 150) ** 2 <= 1, SHAPE)] = 40
    table = np.broadcast_to((np.abs(x) < 140) & (y > 106) & (y < 140), SHAPE)
    hu[table] = 100
    hu[ndimage.binary_erosion(table, np.ones((1, 3, 3)), border_value=1)] = -900
    return hu


def thorax(touching=False):
    """Lungs, a trachea that forks into them, a vessel, nodules; HU and true labels."""
    z, y, x = grid()
    hu = body_hu()
    truth = np.zeros(SHAPE, np.uint8)
    centre, radii = (-5, 0, 62 if not touching else 56), (95, 70, 55)
    truth[ellipsoid(centre, radii)] = LEFT
    truth[ellipsoid((*centre[:2], -centre[2]), radii)] = RIGHT
    hu[truth > 0] = -850
    if touching:
        bridge = np.broadcast_to((np.abs(x) < 4) & (np.abs(y + 20) < 3) & (np.abs(z) < 9), SHAPE)
        hu[bridge] = -850
    else:
        tube = np.broadcast_to((x**2 + y**2 < 81) & (z > 20), SHAPE)
        hu[tube] = -1000
        slope = np.abs(np.abs(x) - 1.2 * (24 - z)) < 8
        hu[np.broadcast_to(slope & (y**2 < 40) & (z <= 24) & (z > -16), SHAPE)] = -1000
    hu[ellipsoid((0, 10, 70), (30, 4, 4))] = 60
    hu[ellipsoid((0, -62, 62), (9, 9, 9))] = 40  # on the pleura
    hu[ellipsoid((30, 20, -70), (12, 10, 10))] = 40  # in the lung
    hu += np.random.default_rng(0).normal(0, 20, SHAPE)
    return hu.astype(np.int16), truth


def placed(array, flips=(False, False, False), order=(0, 1, 2)):
    """A volume of this content (z up, y back, x left) with its axes turned; and the turn."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for k, axis in enumerate(order):
        affine[2 - axis, k] = SPACING[axis] * (-1 if flips[k] else 1)
    axes = [k for k in range(3) if flips[k]]
    return Volume(np.flip(array.transpose(order), axes), affine)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(
    ("flips", "order"),
    [
        ((False, False, False), (0, 1, 2)),
        ((True, False, True), (0, 1, 2)),
        ((False, True, False), (2, 0, 1)),
    ],
)
def test_thorax(flips, order):
    hu, truth = thorax()
    lungs = segment_lungs(placed(hu, flips, order))
    wanted = placed(truth, flips, order).array
    assert lungs.dtype == np.uint8
    assert set(np.unique(lungs)) == {0, LEFT, RIGHT}
    for label in (LEFT, RIGHT):
        assert dice(lungs == label, wanted == label) > 0.95


def test_nodules_and_vessels_are_lung_and_the_trachea_is_not():
    hu, _ = thorax()
    lungs = segment_lungs(placed(hu))
    assert (lungs[ellipsoid((0, -62, 62), (7, 7, 7))] == LEFT).mean() > 0.9
    assert (lungs[ellipsoid((0, 10, 70), (20, 3, 3))] == LEFT).all()
    assert (lungs[ellipsoid((30, 20, -70), (12, 10, 10))] == RIGHT).all()
    z, y, x = grid()
    tube = np.broadcast_to((x**2 + y**2 < 64) & (z > 26), SHAPE)
    assert (lungs[tube] > 0).mean() < 0.02
    assert not lungs[:, :, [0, -1]].any()
    assert not lungs[np.broadcast_to(y > 104, SHAPE)].any()


def test_touching_lungs_are_parted():
    hu, truth = thorax(touching=True)
    lungs = segment_lungs(placed(hu))
    for label in (LEFT, RIGHT):
        assert dice(lungs == label, truth == label) > 0.95


def test_one_lung():
    hu, truth = thorax()
    hu[truth == RIGHT] = 40
    lungs = segment_lungs(placed(hu))
    assert dice(lungs == LEFT, truth == LEFT) > 0.95
    assert (lungs == RIGHT).sum() < 0.01 * (lungs == LEFT).sum()


def test_abdomen_phantom_and_empty_air_have_no_lungs():
    abdomen = body_hu()
    abdomen[ellipsoid((20, -60, 10), (40, 25, 45))] = -1000  # stomach
    abdomen[ellipsoid((-20, -20, 90), (70, 20, 20))] = -1000  # colon
    abdomen[ellipsoid((0, 0, -80), (15, 10, 10))] = -700
    abdomen += np.random.default_rng(0).normal(0, 20, SHAPE)
    for hu in (abdomen, body_hu(), np.full(SHAPE, -1000), np.full(SHAPE, 40)):
        with pytest.raises(InputError, match="no lungs"):
            segment_lungs(placed(hu.astype(np.int16)))
        with pytest.raises(InputError, match="no lungs"):
            preprocess(placed(hu.astype(np.int16)))


def test_two_slices_are_enough():
    hu, truth = thorax()
    volume = placed(hu[28:30])
    lungs = segment_lungs(volume)
    for label in (LEFT, RIGHT):
        assert dice(lungs == label, truth[28:30] == label) > 0.9


def test_shrinking_by_hand():
    array = np.arange(3 * 3 * 4).reshape(3, 3, 4)
    small = shrink(array, np.array([2, 2, 2]))
    assert small.shape == (2, 2, 2)
    assert small[0, 0, 0] == pytest.approx(array[:2, :2, :2].mean())
    assert small[1, 0, 1] == pytest.approx(array[2, :2, 2:].mean())
    assert small[1, 1, 1] == pytest.approx(array[2, 2, 2:].mean())
    labels = np.zeros((2, 2, 2), np.uint8)
    labels[1, :, 1] = 4
    assert np.array_equal(np.unique(enlarge(labels, np.array([2, 2, 2]), (3, 3, 4))), [0, 4])
    assert enlarge(labels, np.array([2, 2, 2]), (3, 3, 4))[2, :, 3].tolist() == [4, 4, 4]


@pytest.mark.parametrize(("patient", "nodules"), [("0001", 1), ("0003", 3)])
def test_real_nodules_lie_in_the_kept_region(lidc_scan, patient, nodules):
    series = find_series(lidc_scan(patient))[0][0]
    volume = read_volume(series.path, series.series_uid)
    reading = read_lidc_xml(next(series.path.glob("*.xml")))
    geometry = SliceGeometry(volume.slice_z(), volume.array.shape[1:])
    groups = consensus(reading.sessions, geometry)
    assert len(groups) == nodules
    lungs = segment_lungs(volume)
    litres = [(lungs == k).sum() * volume.spacing.prod() / 1e6 for k in (LEFT, RIGHT)]
    assert all(1.5 < size < 3.5 for size in litres)
    x_left, x_right = (np.argwhere(lungs == k)[:, 2].mean() for k in (LEFT, RIGHT))
    assert x_left > x_right
    region = lung_region(lungs)
    for group in groups:
        box = tuple(slice(a, a + n) for a, n in zip(group.offset, group.mask.shape, strict=True))
        assert region[box][group.mask].mean() >= 0.95
        centre = np.rint(np.argwhere(group.mask).mean(axis=0)).astype(int) + group.offset
        assert region[tuple(centre)]
    result = preprocess(volume, lungs)
    found = [(k, group.cropped) for k, group in enumerate(groups, 1)]
    labels, painted = label_volume(found, volume.affine, result.affine, result.array.shape)
    for k, group in enumerate(groups, 1):
        assert painted[k]["lost"] == ""
        assert painted[k]["voxels"] == pytest.approx(
            group.mask.sum() * volume.spacing.prod(), rel=0.03
        )
        centre = result.to_world(np.argwhere(labels == k).mean(axis=0))
        own = volume.to_world(np.argwhere(group.mask).mean(axis=0) + group.offset)
        assert np.linalg.norm(centre - own) < 0.25
