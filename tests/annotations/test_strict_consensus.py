"""The strict protocol and majority masks, on drawn shapes worked out by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.annotations import Mark, Roi, Session, SliceGeometry, consensus, mark_mask
from nodulenet.annotations.outlines import interior_mask

GEOMETRY = SliceGeometry(np.arange(-20.0, -4.0, 2.0), (40, 48))
Z = -10.0  # slice 5


def square(low, high, inclusion=True, z=Z):
    corners = ((low, low), (high, low), (high, high), (low, high))
    return Roi(z, inclusion, tuple((float(x), float(y)) for x, y in corners))


def mark(*rois, name="N"):
    return Mark("nodule", name, rois)


def row(x0, x1, y0=10, y1=14):
    """A mark whose outline is a rectangle."""
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    return mark(Roi(Z, True, tuple((float(x), float(y)) for x, y in corners)))


def drawn(text):
    """A mask from a drawing, # for a voxel."""
    return np.array([[cell == "#" for cell in line] for line in text.split()])


def sessions(*marks):
    return tuple(Session(None, (one,)) for one in marks)


def whole(mask, offset):
    """The mask in the volume of the whole scan."""
    volume = np.zeros((len(GEOMETRY.z), *GEOMETRY.shape), bool)
    volume[tuple(slice(o, o + n) for o, n in zip(offset, mask.shape, strict=True))] = mask
    return volume


def test_the_outline_is_not_part_of_the_nodule():
    mask, offset = interior_mask(mark(square(10, 15), square(11, 14, z=-8.0)), GEOMETRY)
    assert offset == (5, 11, 11)
    assert mask.shape == (2, 4, 4)
    assert mask[0].all()
    assert np.array_equal(mask[1], drawn(".... .##. .##. ...."))


def test_an_outline_drawn_pixel_by_pixel_is_as_its_corners():
    pixels = [(x, 10) for x in range(10, 16)] + [(15, y) for y in range(11, 16)]
    pixels += [(x, 15) for x in range(14, 9, -1)] + [(10, y) for y in range(14, 9, -1)]
    chain = Roi(Z, True, tuple((float(x), float(y)) for x, y in pixels))
    assert np.array_equal(
        whole(*interior_mask(mark(chain), GEOMETRY)),
        whole(*interior_mask(mark(square(10, 15)), GEOMETRY)),
    )


def test_an_open_outline_is_closed_by_an_edge_that_is_drawn_too():
    # Three sides of a square 0..5 without the side y = 0: its last point is joined to the first.
    pixels = [(0, y) for y in range(6)] + [(x, 5) for x in range(1, 6)]
    pixels += [(5, y) for y in range(4, -1, -1)]
    mask, offset = interior_mask(
        mark(Roi(Z, True, tuple((float(x), float(y)) for x, y in pixels))), GEOMETRY
    )
    assert (offset, mask.shape, mask.sum()) == ((5, 1, 1), (1, 4, 4), 16)


@pytest.mark.parametrize("order", [1, -1])
def test_a_hole_is_taken_away_with_its_outline(order):
    rois = (square(10, 18), square(12, 15, inclusion=False))[::order]
    mask, offset = interior_mask(mark(*rois), GEOMETRY)
    expected = drawn(
        """
        #######
        #....##
        #....##
        #....##
        #....##
        #######
        #######
        """
    )
    assert offset == (5, 11, 11)
    assert np.array_equal(mask[0], expected)


def test_a_hole_is_of_its_own_slice():
    rois = square(10, 18), square(10, 18, z=-8.0), square(12, 15, inclusion=False, z=-8.0)
    mask, _ = interior_mask(mark(*rois), GEOMETRY)
    assert mask.sum(axis=(1, 2)).tolist() == [49, 49 - 16]


def test_rois_of_a_slice_are_filled_by_themselves_and_united():
    apart = mark(square(10, 14), square(20, 24))
    mask, offset = interior_mask(apart, GEOMETRY)
    expected = np.zeros((13, 13), bool)
    expected[:3, :3] = expected[10:, 10:] = True
    assert offset == (5, 11, 11)
    assert np.array_equal(mask[0], expected)
    assert not np.array_equal(whole(*mark_mask(apart, GEOMETRY)), whole(mask, offset))
    # Interiors 11..15 and 14..18: what both hold stays, as does the outline within the other.
    mask, _ = interior_mask(mark(square(10, 16), square(13, 19)), GEOMETRY)
    assert mask.sum() == 25 + 25 - 4
    assert mask[0, 4, 4]


def test_a_hole_through_two_rois():
    rois = square(10, 14), square(20, 24), square(13, 21, inclusion=False)
    mask, _ = interior_mask(mark(*rois), GEOMETRY)
    assert mask.sum() == 2 * (9 - 1)


SMALL = {
    "a point": (Roi(Z, True, ((7.0, 9.0),)),),
    "a line": (Roi(Z, True, ((7.0, 9.0), (9.0, 9.0))),),
    "two by two pixels": (square(7, 8),),
    "a hole alone": (square(7, 12, inclusion=False),),
    "a hole over all": (square(7, 12), square(7, 12, inclusion=False)),
}


@pytest.mark.parametrize("rois", SMALL.values(), ids=SMALL)
def test_a_mark_without_interior_stands_as_drawn_and_is_told(rois):
    one = mark(*rois, name="tiny")
    assert interior_mask(one, GEOMETRY) is None
    (group,) = consensus((Session("a", (one,)),), GEOMETRY, 1, protocol="strict")
    assert np.array_equal(whole(group.mask, group.offset), whole(*mark_mask(one, GEOMETRY)))
    assert group.notes == (
        "session 1, nodule 'tiny': nothing lies inside its outlines, so that they stand for it",
    )
    (published,) = consensus((Session("a", (one,)),), GEOMETRY, 1)
    assert published.notes == ()


def test_a_stray_point_of_a_mark_with_interior_is_no_voxel():
    mask, _ = interior_mask(mark(square(10, 14), Roi(-6.0, True, ((30.0, 30.0),))), GEOMETRY)
    assert mask.shape == (1, 3, 3)
    (group,) = consensus(sessions(mark(square(10, 14))), GEOMETRY, 1, protocol="strict")
    assert group.notes == ()


polygons = st.lists(st.tuples(st.integers(0, 47), st.integers(0, 39)), min_size=1, max_size=12).map(
    lambda points: tuple((float(x), float(y)) for x, y in points)
)


@given(st.lists(polygons, min_size=1, max_size=3))
def test_the_interior_of_single_rois_is_what_was_filled_less_what_was_drawn(outlines):
    one = mark(*(Roi(-10.0 + 2 * k, True, points) for k, points in enumerate(outlines)))
    filled = whole(*mark_mask(one, GEOMETRY))
    for k, points in enumerate(outlines):
        line = np.zeros(GEOMETRY.shape, np.uint8)
        cv2.polylines(line, [np.array(points, np.int32)], True, 1)
        filled[5 + k] &= line == 0
    interior = interior_mask(one, GEOMETRY)
    assert np.array_equal(whole(*interior) if interior else np.zeros_like(filled), filled)


def test_one_vote_a_reader():
    same = mark(square(10, 18))
    reads = (Session("a", (same, same)), Session("b", (same,)))
    (published,) = consensus(reads, GEOMETRY)
    assert published.level == 3
    assert consensus(reads, GEOMETRY, protocol="strict") == []
    (group,) = consensus(reads, GEOMETRY, level=2, protocol="strict")
    assert (group.level, group.readers, len(group.members)) == (2, 2, 3)


def test_half_of_the_votes_is_a_majority():
    # Interiors x 1..8 twice and 4..11, y three wide; of two votes one is half of them.
    pair = sessions(row(0, 9), row(3, 12))
    (group,) = consensus(pair, GEOMETRY, 1, 0.3, protocol="strict", merge="majority")
    assert (group.offset[2], group.mask.shape[2]) == (1, 11)
    three = sessions(row(0, 9), row(3, 12), row(0, 9))
    (group,) = consensus(three, GEOMETRY, 1, 0.3, protocol="strict", merge="majority")
    assert (group.offset, group.mask.shape) == ((5, 11, 1), (1, 3, 8))
    assert group.mask.all()
    assert [offset for _, offset in group.outlines] == [(5, 11, 1), (5, 11, 4), (5, 11, 1)]


def test_two_marks_of_a_reader_are_one_vote_for_a_voxel():
    twice = Session("a", (row(0, 9), row(0, 9)))
    others = Session("b", (row(3, 12),)), Session("c", (row(3, 12),))
    rules = {"iou_threshold": 0.3, "merge": "majority"}
    (marks,) = consensus((twice, *others), GEOMETRY, 1, **rules)
    (readers,) = consensus((twice, *others), GEOMETRY, 1, protocol="strict", **rules)
    assert marks.mask.any(axis=(0, 1)).sum() == 13  # two of four marks hold each end
    assert (readers.offset[2], readers.mask.shape[2]) == (4, 8)  # two of three readers


@pytest.mark.parametrize("protocol", ["nodulenet", "strict"])
def test_without_a_majority_the_union_stands_and_is_told(protocol):
    pieces = [row(x, x + 4) for x in (0, 8, 16, 24)]
    long = row(0, 28)
    (group,) = consensus(
        sessions(long, *pieces), GEOMETRY, 1, 0.05, protocol=protocol, merge="majority"
    )
    (union,) = consensus(sessions(long, *pieces), GEOMETRY, 1, 0.05, protocol=protocol)
    assert np.array_equal(group.mask, union.mask)
    assert group.notes == ("no voxel is in half of its 5 votes, their union stands",)
    assert union.notes == ()


def test_marks_are_grouped_by_what_was_drawn():
    # Drawn 4 x 3 and 4 x 3 shifted by one: IoU 9 / 15; of the interiors 1 / 3.
    pair = sessions(row(0, 3, 10, 12), row(1, 4, 10, 12))
    (group,) = consensus(pair, GEOMETRY, 1, protocol="strict")
    assert group.mask.shape == (1, 1, 3)


def test_unknown_rules_are_refused():
    one = sessions(mark(square(10, 18)))
    with pytest.raises(ValueError, match="protocol\n  Input should be 'nodulenet' or 'strict'"):
        consensus(one, GEOMETRY, 1, protocol="pylidc")
    with pytest.raises(ValueError, match="merge\n  Input should be 'union' or 'majority'"):
        consensus(one, GEOMETRY, 1, merge="mean")


spans = st.tuples(st.integers(0, 12), st.integers(1, 9), st.integers(0, 12), st.integers(1, 9))
rectangles = spans.map(lambda span: row(span[0], span[0] + span[1], span[2], span[2] + span[3]))
readings = st.lists(st.lists(rectangles, max_size=3), min_size=1, max_size=6).map(
    lambda marks: tuple(Session(None, tuple(own)) for own in marks)
)


@pytest.mark.parametrize("protocol", ["nodulenet", "strict"])
@given(reads=readings, threshold=st.sampled_from([0.0, 0.2, 0.4]))
def test_majority_and_union_by_brute_force(protocol, reads, threshold):
    unions = consensus(reads, GEOMETRY, 1, threshold, protocol=protocol)
    majorities = consensus(reads, GEOMETRY, 1, threshold, protocol=protocol, merge="majority")
    published = consensus(reads, GEOMETRY, 1, threshold)
    assert [g.members for g in unions] == [g.members for g in majorities]
    assert [g.members for g in unions] == [g.members for g in published]
    assert sum(len(g.members) for g in unions) == sum(len(s.marks) for s in reads)
    for union, most, plain in zip(unions, majorities, published, strict=True):
        voters = {}
        for session, number in union.members:
            one = reads[session].marks[number]
            inside = interior_mask(one, GEOMETRY) if protocol == "strict" else None
            voxels = whole(*(inside or mark_mask(one, GEOMETRY)))
            key = session if protocol == "strict" else (session, number)
            voters[key] = voters.get(key, False) | voxels
        total = sum(voxels.astype(int) for voxels in voters.values())
        held = total >= len(voters) / 2
        assert np.array_equal(whole(union.mask, union.offset), total > 0)
        assert np.array_equal(whole(most.mask, most.offset), held if held.any() else total > 0)
        assert not (whole(union.mask, union.offset) & ~whole(plain.mask, plain.offset)).any()
        for group in (union, most):
            sides = [group.mask.any(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
            assert all(side[0] and side[-1] for side in sides)
            assert group.level == min(len(voters), 4)
