"""The outlines and cuts of a card, against masks drawn by hand."""

import base64
import re

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nodulenet.plots.cases import Case
from nodulenet.report.pictures import GAP, outline, picture


def filled(path, shape):
    """The mask that a path encloses: below an odd number of its horizontal runs."""
    mask = np.zeros(shape, bool)
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)", path):
        mask[int(y) :, int(x) : int(x) + int(length)] ^= True
    return mask


def test_outline_of_a_pixel_and_of_nothing():
    mask = np.zeros((3, 4), bool)
    assert outline(mask) == ""
    mask[1, 2] = True
    assert outline(mask) == "M2 1h1M2 2h1M2 1v1M3 1v1"
    assert outline(mask, 10) == "M12 1h1M12 2h1M12 1v1M13 1v1"
    assert outline(np.ones((2, 3), bool)) == "M0 0h3M0 2h3M0 0v2M3 0v2"


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=7)))
def test_an_outline_encloses_its_mask_both_ways(mask):
    np.testing.assert_array_equal(filled(outline(mask), mask.shape), mask)
    turned = re.sub(r"M(\d+) (\d+)([hv])", lambda m: f"M{m[2]} {m[1]}{'vh'['hv'.index(m[3])]}",
                    outline(mask))  # fmt: skip
    np.testing.assert_array_equal(filled(turned, mask.T.shape), mask.T)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_the_cuts_go_through_what_is_shown(z, y, x):
    side = 7
    image = np.zeros((side,) * 3, np.uint8)
    truth, found = np.zeros_like(image, bool), np.zeros_like(image, bool)
    image[z, y, x], truth[z, y, x] = 200, True
    drawn = picture(Case(image, truth, found, 0.5), truth)
    strip = decoded(drawn.source)
    assert strip.shape == (side, 3 * side + 2 * GAP) == (drawn.height, drawn.width)
    left = [place * (side + GAP) for place in range(3)]
    # The head is above in the coronal and the sagittal cut.
    up = side - 1 - z
    places = [(y, left[0] + x), (up, left[1] + x), (up, left[2] + y)]
    assert sorted(map(tuple, np.argwhere(strip == 200).tolist())) == sorted(places)
    assert sorted(map(tuple, np.argwhere(filled(drawn.truth, strip.shape)).tolist())) == sorted(
        places
    )
    assert (drawn.prediction, drawn.circles, drawn.bar) == ("", [], 20)


def test_a_ball_is_a_circle_in_the_middle_of_each_cut():
    empty = np.zeros((5,) * 3, bool)
    drawn = picture(Case(empty.astype(np.uint8), empty, empty, 2.0), empty, ball_mm=6)
    assert drawn.circles == [(2.5, 2.5, 1.5), (9.5, 2.5, 1.5), (16.5, 2.5, 1.5)]
    assert drawn.truth == drawn.prediction == ""


def decoded(source):
    head, _, data = source.partition(",")
    assert head == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
