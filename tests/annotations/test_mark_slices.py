import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.annotations import Mark, Roi, Session, SliceGeometry, point_index, points_off_scan
from nodulenet.annotations.slices import roi_slices
from nodulenet.files import InputError


def geometry(*z, shape=(10, 20)):
    return SliceGeometry(np.array(z, float), shape)


def at(*z, kind="nodule", x=3.0, y=4.0):
    return Mark(kind, "N", tuple(Roi(value, True, ((x, y),)) for value in z))


def test_the_nearest_slice_is_taken_in_array_order():
    rising, falling = geometry(0, 2.5, 5), geometry(5, 2.5, 0)
    mark = at(0.2, 2.5, 3.7, 3.8, 6.2)
    assert roi_slices(mark, rising).tolist() == [0, 1, 1, 2, 2]
    assert roi_slices(mark, falling).tolist() == [2, 1, 1, 0, 0]


@pytest.mark.parametrize(("z", "expected"), [(-1.25, 0), (6.25, 2), (1.25, 0)])
def test_half_a_slice_is_near_enough(z, expected):
    assert roi_slices(at(z), geometry(0, 2.5, 5)).tolist() == [expected]


@pytest.mark.parametrize("z", [-1.3, 6.3])
@pytest.mark.parametrize("rule", ["nearest", "truncate"])
def test_more_than_half_a_slice_is_too_far(z, rule):
    with pytest.raises(InputError, match=r"^session 1, nodule 'N', ROI 2: z = .* 1.300 mm"):
        roi_slices(at(0.0, z), geometry(0, 2.5, 5), rule, "session 1, nodule 'N'")


def test_in_a_gap_the_smaller_neighbouring_distance_counts():
    gap = geometry(0, 1, 2, 8, 9)
    assert roi_slices(at(2.5, 7.5), gap).tolist() == [2, 3]
    with pytest.raises(InputError, match=r"ROI 1: z = 3 mm lies 1\.000 mm"):
        roi_slices(at(3.0), gap)


def test_truncation_cuts_the_position_to_a_slice():
    scan = geometry(-10, -8, -6, -4)
    assert roi_slices(at(-8.01, -8.0, -6.5, -4.0), scan, "truncate").tolist() == [0, 1, 1, 3]
    assert roi_slices(at(-10.5, -3.5), scan, "truncate").tolist() == [0, 3]


def test_a_scan_of_one_slice():
    assert roi_slices(at(7.4), geometry(7)).tolist() == [0]
    assert roi_slices(at(7.4), geometry(7), "truncate").tolist() == [0]
    with pytest.raises(InputError, match="ROI 1"):
        roi_slices(at(7.6), geometry(7))


@given(st.floats(-50, 50), st.booleans())
def test_a_point_keeps_its_world_z(z, falling):
    positions = np.array([0.0, 1.0, 2.0, 3.0]) * 2.5 - 4
    scan = SliceGeometry(positions[::-1] if falling else positions, (10, 20))
    index, y, x = point_index(at(z, kind="small"), scan)
    step = scan.z[1] - scan.z[0]
    assert scan.z[0] + index * step == pytest.approx(z, abs=1e-9)
    assert (y, x) == (4.0, 3.0)


def test_a_point_mark_of_several_points_lies_at_their_mean():
    rois = (Roi(0.0, True, ((1.0, 2.0), (3.0, 2.0))), Roi(5.0, True, ((5.0, 8.0),)))
    assert point_index(Mark("small", "N", rois), geometry(0, 2.5, 5)) == (2 / 3, 4.0, 3.0)


def test_between_uneven_slices_z_is_interpolated():
    scan = geometry(0, 1, 4)
    assert [point_index(at(z), scan)[0] for z in (-1.0, 0.5, 1.0, 2.5, 4.0, 7.0)] == [
        -1.0, 0.5, 1.0, 1.5, 2.0, 3.0,
    ]  # fmt: skip


def test_point_marks_off_the_scan_are_told():
    scan = geometry(0, 2, 4)
    marks = (at(2.0, kind="small"), at(6.0, kind="small"), at(99.0), at(2, kind="non_nodule", x=20))
    assert points_off_scan((Session(None, ()), Session(None, marks)), scan) == (
        "session 2, small 'N': index (z, y, x) = (3.0, 4.0, 3.0) is outside the scan",
        "session 2, non_nodule 'N': index (z, y, x) = (1.0, 4.0, 20.0) is outside the scan",
    )
