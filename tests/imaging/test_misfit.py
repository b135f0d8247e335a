"""Contrast of outlines and of mirrored places, on blocks in a noisy lung."""

import numpy as np
import pytest
from turning import FLIPS

from nodulenet.imaging import Volume, misfit
from nodulenet.imaging.checks import contrast, one_contrast
from nodulenet.imaging.orientation import turned_mask
from nodulenet.masks import CroppedMask

SHAPE = (20, 40, 50)
AFFINE = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]], float)
PLACES = [((3, 5, 6), (2, 6, 6)), ((12, 10, 30), (3, 8, 7)), ((14, 30, 8), (2, 5, 5))]


def nodules(places=PLACES, labels=(1, 2, 3)):
    return [
        (label, CroppedMask(np.ones(size, bool), offset))
        for label, (offset, size) in zip(labels, places, strict=False)
    ]


def lung(brightness=650, places=PLACES):
    hu = np.random.default_rng(0).normal(-850, 20, SHAPE)
    for offset, size in places:
        hu[tuple(slice(a, a + n) for a, n in zip(offset, size, strict=True))] += brightness
    return Volume(hu.astype(np.int16), AFFINE)


def mirrored(held, flips):
    return [(label, turned_mask(mask, ((0, 1, 2), flips), SHAPE)) for label, mask in held]


def test_contrast_by_hand():
    """Slices of 2 mm: the ring of 1 to 3 mm is a slice above and below, two voxels in the plane."""
    hu = np.full((7, 9, 9), -800, np.int16)
    hu[3, 4, 4] = 100
    hu[2:5, 2:7, 2:7][hu[2:5, 2:7, 2:7] == -800] = -500
    voxel = np.ones((1, 1, 1), bool)
    assert one_contrast(Volume(hu, AFFINE), CroppedMask(voxel, (3, 4, 4))) == 600
    # At a corner of the scan the ring is cut there.
    assert one_contrast(Volume(hu, AFFINE), CroppedMask(voxel, (0, 0, 0))) == 0
    assert np.isnan(one_contrast(Volume(hu[:1, :1, :1], AFFINE), CroppedMask(voxel, (0, 0, 0))))


def test_the_ring_begins_1_mm_off_the_mask_and_ends_at_3_mm():
    """Of 24 voxels in it half are dark: 1 more at either end would tip the median."""
    y, x = np.indices((11, 11)) - 5
    squared = y**2 + x**2
    hu = np.full((1, 11, 11), 1000, np.int16)
    hu[0][(squared == 2) | (squared == 5)] = -1000
    hu[0, 5, 5] = 100
    assert one_contrast(Volume(hu, AFFINE), CroppedMask(np.ones((1, 1, 1), bool), (0, 5, 5))) == 100


def test_the_contrast_of_a_scan_is_the_median_of_its_nodules():
    scan = lung(places=PLACES[:2])
    assert contrast(scan, nodules(), ()) == pytest.approx(650, abs=15)
    assert contrast(scan, nodules()[2:], ()) == pytest.approx(0, abs=15)
    assert np.isnan(contrast(scan, [], ()))


@pytest.mark.parametrize("flips", FLIPS)
def test_outlines_of_a_flipped_image(flips):
    told = misfit(lung(), mirrored(nodules(), flips))
    if not flips:
        assert told == ""
        return
    assert f"mirrored in {', '.join('zyx'[axis] for axis in flips)}: " in told
    assert "where they lie" in told
    assert "6" in told.split("their inside is ")[1][:3]


def test_faint_nodules_are_not_told():
    """Ground glass of 150 HU: too faint to say anything, right or wrong."""
    assert misfit(lung(150), nodules()) == ""
    assert misfit(lung(150), mirrored(nodules(), (1,))) == ""
    assert misfit(lung(), []) == ""


def test_a_chance_structure_at_the_mirrored_place():
    """One as bright as the nodule is there: the outlines fit as well where they are."""
    (_, mask) = nodules()[0]
    other = turned_mask(mask, ((0, 1, 2), (2,)), SHAPE).offset
    scan = lung(places=[PLACES[0], (other, PLACES[0][1])])
    assert misfit(scan, nodules()[:1]) == ""


def test_groups_below_the_level_stand_in_where_there_is_no_nodule():
    scan = lung(places=PLACES[:1])
    labelled = mirrored(nodules(), (1,))
    assert "mirrored in y" in misfit(scan, [(0, *labelled[0][1:])])
    # With a nodule its outline alone is asked.
    assert misfit(scan, [(0, *labelled[0][1:]), nodules()[0]]) == ""
