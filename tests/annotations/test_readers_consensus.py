from itertools import permutations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.annotations import (
    Mark,
    Roi,
    Session,
    SliceGeometry,
    consensus,
    count_levels,
    mark_mask,
)
from nodulenet.files import InputError

GEOMETRY = SliceGeometry(np.arange(-20.0, 0.0, 2.0), (64, 80))


def rectangle(x0, x1, y0, y1, z=(-10.0,), name="N", inclusion=True):
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    vertices = tuple((float(x), float(y)) for x, y in corners)
    return Mark("nodule", name, tuple(Roi(level, inclusion, vertices) for level in z))


def sessions(*marks):
    return tuple(Session(None, (mark,)) for mark in marks)


def members(groups):
    return [group.members for group in groups]


def test_a_filled_outline_includes_its_edge():
    mask, offset = mark_mask(rectangle(10, 14, 20, 23, z=(-10.0, -8.0)), GEOMETRY)
    assert offset == (5, 20, 10)
    assert mask.shape == (2, 4, 5)
    assert mask.dtype == bool
    assert mask.all()


def test_slices_between_outlines_stay_empty():
    mask, _ = mark_mask(rectangle(0, 1, 0, 1, z=(-16.0, -10.0)), GEOMETRY)
    assert mask.any(axis=(1, 2)).tolist() == [True, False, False, True]


def test_points_of_one_slice_are_one_polygon_in_file_order():
    # By hand: outer square 0..6, then inner 2..4, even-odd; the connecting lines are drawn too.
    outer, inner = rectangle(0, 6, 0, 6).rois[0], rectangle(2, 4, 2, 4, inclusion=False).rois[0]
    mask, _ = mark_mask(Mark("nodule", "N", (outer, inner)), GEOMETRY)
    reference = np.zeros((7, 7), np.uint8)
    cv2.fillPoly(reference, [np.array(outer.vertices + inner.vertices, np.int32)], 1)
    assert np.array_equal(mask[0], reference.astype(bool))
    assert not mask[0, 3, 3]
    assert mask[0, 2, 2]


def test_one_point_is_one_voxel():
    mask, offset = mark_mask(Mark("nodule", "N", (Roi(-10, True, ((7.0, 9.0),)),)), GEOMETRY)
    assert (offset, mask.tolist()) == ((5, 9, 7), [[[True]]])


@given(st.lists(st.tuples(st.integers(0, 79), st.integers(0, 63)), min_size=1, max_size=12))
def test_a_cropped_mask_is_the_whole_slice_cropped(vertices):
    whole = np.zeros(GEOMETRY.shape, np.uint8)
    cv2.fillPoly(whole, [np.array(vertices, np.int32)], 1)
    mark = Mark("nodule", "N", (Roi(-10, True, tuple((float(x), float(y)) for x, y in vertices)),))
    mask, (_, y, x) = mark_mask(mark, GEOMETRY)
    placed = np.zeros(GEOMETRY.shape, bool)
    placed[y : y + mask.shape[1], x : x + mask.shape[2]] = mask[0]
    assert np.array_equal(placed, whole.astype(bool))


def test_an_iou_of_exactly_the_threshold_does_not_join():
    # 14 x 1 against 14 x 1 shifted by 6: 8 / 20 = 0.4; shifted by 5: 9 / 19.
    first = rectangle(0, 13, 0, 0)
    assert len(consensus(sessions(first, rectangle(6, 19, 0, 0)), GEOMETRY, 1)) == 2
    assert len(consensus(sessions(first, rectangle(5, 18, 0, 0)), GEOMETRY, 1)) == 1
    pair = sessions(first, rectangle(6, 19, 0, 0))
    assert len(consensus(pair, GEOMETRY, 1, iou_threshold=0.399)) == 1


def test_marks_on_other_slices_do_not_overlap():
    pair = sessions(rectangle(0, 9, 0, 9), rectangle(0, 9, 0, 9, z=(-8.0,)))
    assert members(consensus(pair, GEOMETRY, 1)) == [((0, 0),), ((1, 0),)]


def test_a_chain_joins_by_the_first_member_only():
    # Each overlaps the next with 7 / 13, the first and the last with 4 / 16.
    chain = sessions(*(rectangle(x, x + 9, 0, 0) for x in (0, 3, 6)))
    assert members(consensus(chain, GEOMETRY, 1)) == [((0, 0), (1, 0)), ((2, 0),)]


def test_the_order_of_the_marks_decides():
    marks = {x: rectangle(x, x + 9, 0, 0) for x in (0, 3, 6)}
    sizes = {
        order: [len(g.members) for g in consensus(sessions(*map(marks.get, order)), GEOMETRY, 1)]
        for order in permutations(marks)
    }
    assert sizes[(3, 0, 6)] == sizes[(3, 6, 0)] == [3]
    assert sizes[(0, 6, 3)] == [2, 1]  # 3 overlaps both and joins the earlier group
    assert sizes[(6, 0, 3)] == [2, 1]


def test_the_first_group_that_fits_is_joined_not_the_best():
    # Thirds apart, so that the third mark overlaps the second group's founder better.
    marks = rectangle(0, 9, 0, 0), rectangle(5, 14, 0, 0), rectangle(3, 12, 0, 0)
    assert members(consensus(sessions(*marks), GEOMETRY, 1)) == [((0, 0), (2, 0)), ((1, 0),)]


def test_a_group_is_the_union_of_its_marks():
    marks = rectangle(0, 9, 2, 3, z=(-10.0,)), rectangle(1, 10, 2, 3, z=(-10.0, -8.0, -6.0))
    (group,) = consensus(sessions(*marks), GEOMETRY, 1, iou_threshold=0.2)
    assert group.offset == (5, 2, 0)
    assert group.mask.shape == (3, 2, 11)
    assert group.mask.sum() == 2 * (11 + 10 + 10)


def test_level_counts_marks_and_readers_count_sessions():
    same = rectangle(0, 9, 0, 9)
    twice = (Session("a", (same, same)), Session("b", (same,)))
    (group,) = consensus(twice, GEOMETRY)
    assert (group.level, group.readers) == (3, 2)
    assert group.members == ((0, 0), (0, 1), (1, 0))
    (group,) = consensus(sessions(*[same] * 6), GEOMETRY)
    assert (group.level, group.readers, len(group.members)) == (4, 6, 6)


def test_levels_are_counted_and_chosen():
    marks = [rectangle(20 * i, 20 * i + 9, 0, 9) for i in range(4) for _ in range(i + 1)]
    groups = consensus(sessions(*marks), GEOMETRY, 1)
    assert [group.level for group in groups] == [1, 2, 3, 4]
    assert count_levels(groups) == (4, 3, 2, 1)
    assert [g.level for g in consensus(sessions(*marks), GEOMETRY)] == [3, 4]
    assert count_levels([]) == (0, 0, 0, 0)
    assert consensus((), GEOMETRY) == []


def test_only_nodules_of_3_mm_take_part_and_keep_their_place():
    small = Mark("small", "s", rectangle(0, 9, 0, 9).rois)
    other = Mark("non_nodule", "n", rectangle(0, 9, 0, 9).rois)
    session = Session(None, (small, other, rectangle(0, 9, 0, 9)))
    assert members(consensus((session,), GEOMETRY, 1)) == [((0, 2),)]


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        (((79.0, 63.0),), None),
        (((-1.0, 5.0),), r"vertex \(-1, 5\) is outside the image of 80 x 64 pixels"),
        (((80.0, 5.0),), r"vertex \(80, 5\) is outside"),
        (((79.0, 63.0), (5.0, 64.0)), r"vertex \(5, 64\) is outside"),
    ],
)
def test_a_vertex_outside_the_image_is_named(vertices, message):
    good = rectangle(0, 3, 0, 3).rois[0]
    marks = (rectangle(0, 1, 0, 1), Mark("nodule", "B", (good, Roi(-8.0, True, vertices))))
    reads = (Session(None, ()), Session(None, marks))
    if message is None:
        assert len(consensus(reads, GEOMETRY, 1)) == 2
    else:
        with pytest.raises(InputError, match="^session 2, nodule 'B', ROI 2: " + message):
            consensus(reads, GEOMETRY, 1)


def test_an_outline_off_the_scan_is_named():
    marks = rectangle(0, 1, 0, 1), rectangle(0, 1, 0, 1, z=(-10.0, -0.5), name="B")
    message = r"^session 2, nodule 'B', ROI 2: z = -0.5 mm lies 1.500 mm from the nearest slice"
    with pytest.raises(InputError, match=message):
        consensus(sessions(*marks), GEOMETRY, 1)


def test_the_outlines_of_a_group_are_its_members_masks():
    marks = rectangle(10, 19, 10, 19), rectangle(11, 20, 10, 19, z=(-10.0, -8.0))
    (group,) = consensus(sessions(*marks), GEOMETRY, level=1, iou_threshold=0.3)
    assert len(group.members) == len(group.outlines) == 2
    for (mask, offset), mark in zip(group.outlines, marks, strict=True):
        alone, start = mark_mask(mark, GEOMETRY)
        assert offset == start
        assert np.array_equal(mask, alone)
