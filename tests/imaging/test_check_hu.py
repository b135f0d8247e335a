"""Images that are not in HU, and lungs that are ill but are."""

import numpy as np
import pytest

from nodulenet.files import InputError
from nodulenet.imaging import Volume, check_hu, segment_lungs

SHAPE = (12, 40, 50)
LUNGS = np.zeros(SHAPE, np.uint8)
LUNGS[2:10, 8:32, 4:22], LUNGS[2:10, 8:32, 28:46] = 4, 3


def chest(lung=-860.0, tissue=30.0, noise=25.0):
    """Lungs with vessels in one voxel of twenty, tissue around, as float."""
    rng = np.random.default_rng(0)
    hu = np.where(LUNGS > 0, lung, tissue) + rng.normal(0, noise, SHAPE)
    return np.where((LUNGS > 0) & (rng.random(SHAPE) < 0.05), tissue, hu)


def told(array):
    return check_hu(Volume(array, np.eye(4)), LUNGS)


@pytest.mark.parametrize("lung", [-960, -860, -700, -510])
@pytest.mark.parametrize("tissue", [-120, 30, 140])
def test_hu_pass(lung, tissue):
    assert told(chest(lung, tissue).astype(np.int16)) == ""


def test_one_lung_without_air_passes():
    hu = chest()
    hu[LUNGS == 3] = 20
    hu[(LUNGS == 3) & (np.indices(SHAPE)[1] < 12)] = -860
    assert told(hu) == ""


def test_ill_lungs_are_told_and_stay():
    """Diffuse disease: half of the air is gone."""
    assert told(chest(lung=-380)).startswith("its voxels may not be HU: median -37")


@pytest.mark.parametrize("offset", [1000, 1024, -1024])
def test_an_offset_is_certain_and_guessed(offset):
    with pytest.raises(InputError, match="not HU") as error:
        told((chest() + offset).astype(np.float32))
    words = str(error.value).split("(as if about ")[1]
    assert words.endswith(f"{'added to' if offset > 0 else 'subtracted from'} HU)")
    assert abs(float(words.split()[0]) - abs(offset)) < 10
    assert str(error.value).startswith("not HU, or the lung mask lies elsewhere: median ")


def test_an_unsigned_image():
    with pytest.raises(InputError, match=r"\(as if about 102\d had been added to HU\)"):
        told((np.maximum(chest(), -1024) + 1024).astype(np.uint16))


def test_a_small_offset_is_told_by_what_is_around_the_lungs():
    assert told(chest() + 200).endswith("(as if about 199 had been added to HU)")
    assert told(chest() + 60) == ""


@pytest.mark.parametrize(("scale", "add"), [(1 / 4096, 0.25), (255 / 1600, 1000 * 255 / 1600)])
def test_other_scales(scale, add):
    """Floats from 0 to 1, and grey values of 8 bits."""
    with pytest.raises(InputError, match=r"\(in HU about -860 and 30\)"):
        told((chest() * scale + add).astype(np.float32))


def test_twice_the_scale_is_certain_and_half_of_it_told():
    with pytest.raises(InputError, match="not HU"):
        told(chest() * 2)
    assert "may not be HU" in told(chest() / 2)


@pytest.mark.parametrize("value", [0, -860, 1])
def test_a_constant(value):
    with pytest.raises(InputError, match=f"every voxel of the lungs is {value}$"):
        told(np.full(SHAPE, value, np.int16))


def test_a_mask_beside_the_lungs():
    with pytest.raises(InputError, match="or the lung mask lies elsewhere"):
        told(chest(lung=40))


def test_a_lung_mask_over_the_whole_scan_has_nothing_around():
    whole = np.full(SHAPE, 3, np.uint8)
    assert check_hu(Volume(np.full(SHAPE, -860) + np.indices(SHAPE)[0], np.eye(4)), whole) == ""


@pytest.mark.parametrize("offset", [1024, 0])
def test_no_lungs_says_where_no_voxel_is_air(offset):
    """Without a mask, lungs are not found in such an image: the message says why."""
    solid = np.full((30, 60, 60), 40 + offset, np.int16)
    solid[10:20, 20:40, 20:40] = offset - (850 if offset else 0)
    with pytest.raises(InputError, match="may not be HU: none is as dark as air"):
        segment_lungs(Volume(solid, np.diag([3.0, 3, 3, 1])))
    with pytest.raises(InputError) as error:
        segment_lungs(Volume(np.full((30, 60, 60), -1000, np.int16), np.diag([3.0, 3, 3, 1])))
    assert "HU" not in str(error.value)
