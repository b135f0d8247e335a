"""overview.png and report.html: what they hold, and that the page works in a browser."""

import base64
import re

import cv2
import numpy as np
import pytest
from browser import open_page
from selenium.webdriver.common.keys import Keys

from nodulenet.findings.cuts import LEAST_HALF_MM, MOST_HALF_MM, View, cut_block, three_cuts
from nodulenet.findings.measure import Finding
from nodulenet.findings.page import RESEARCH, slice_numbers, write_page
from nodulenet.imaging import Volume
from nodulenet.imaging.orientation import STANDARD

AFFINE = np.array([[0, 0, 1, 0], [0, 2, 0, 0], [4, 0, 0, 0], [0, 0, 0, 1.0]])


def view(hu, labels):
    return View(Volume(hu, AFFINE), np.zeros(hu.shape, np.uint8), labels, STANDARD)


def test_block_and_cuts_by_hand():
    """A bright voxel one to the left, front and head of the centre shows there in each cut."""
    hu = np.full((20, 40, 60), -1350, np.int16)
    labels = np.zeros(hu.shape, np.uint16)
    z, y, x = 3, 20, 30
    hu[z + 1, y - 2, x + 4] = 150
    labels[z + 1, y - 2, x + 4] = 5
    finding = Finding(5, np.array([30.0, 40, 12]), 4.0, 0.9, 0.9, 0.9)
    block = cut_block(finding, view(hu, labels))
    half = (5, 10, 20)
    assert block.image.shape == tuple(2 * n + 1 for n in half)
    assert [n * s for n, s in zip(half, (4, 2, 1), strict=True)] == [LEAST_HALF_MM] * 3
    assert block.first == (z - 5, y - 10, x - 20)
    place = (5 + 1, 10 - 2, 20 + 4)
    assert np.argwhere(block.mask).tolist() == [list(place)]
    assert np.argwhere(block.image).tolist() == [list(place)]
    assert block.image[place] == 255
    axial, coronal, sagittal = three_cuts(block)
    assert np.argwhere(axial.mask).tolist() == [[place[1], place[2]]]
    assert axial.spacing == (2, 1)
    # the head is above: row 0 is the highest slice
    assert np.argwhere(coronal.mask).tolist() == [[10 - place[0], place[2]]]
    assert np.argwhere(sagittal.image).tolist() == [[10 - place[0], place[1]]]
    assert sagittal.spacing == (4, 2)


def test_a_box_of_any_size_is_cut_to_what_can_be_shown():
    hu = np.zeros((4, 6, 8), np.int16)
    huge = Finding(1, np.array([3.0, 3, 4]), 1e6, 0.9, 0.9, 0.9)
    block = cut_block(huge, view(hu, np.zeros(hu.shape, np.uint16)))
    size = tuple(2 * int(MOST_HALF_MM / step) + 1 for step in (4, 2, 1))
    assert block.image.shape == size


def test_slice_numbers_of_the_scan():
    assert slice_numbers(4, 30, ((0, 1, 2), ())) == (5, 1)
    # turned round: index 4 of 30 slices is the scan's 26th
    assert slice_numbers(4, 30, ((0, 1, 2), (0, 2))) == (26, -1)
    assert slice_numbers(4, 30, ((2, 1, 0), ())) == (0, 0)


def test_overview_has_a_strip_a_finding(predicted):
    picture = cv2.imread(str(predicted.output / "overview.png"))
    assert picture.shape[1] == 2000
    assert picture.shape[0] == pytest.approx(200 * (4.6 + 0.5 + 2.1 * 2), abs=2)
    blue, green, red = (picture[..., k].astype(int) for k in range(3))
    orange = (abs(red - 230) < 12) & (abs(green - 159) < 12) & (blue < 12)
    sky = (abs(red - 86) < 12) & (abs(green - 180) < 12) & (abs(blue - 233) < 12)
    above = slice(0, round(200 * 4.6))
    assert orange[above].sum() > 500
    assert sky[above].sum() == 0
    assert sky[above.stop :].sum() > 500


def test_page_is_self_contained_and_states_where_it_comes_from(predicted):
    page = (predicted.output / "report.html").read_text()
    assert RESEARCH in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert not re.search("https?:", page)
    assert "ab" * 32 in page
    assert "margin 5" in page
    assert "{" + "{" not in page
    (overview,) = re.findall(r'<img[^>]*src="data:image/png;base64,([^"]*)"', page)
    assert base64.b64decode(overview) == (predicted.output / "overview.png").read_bytes()
    strips = re.findall(r"url\(data:image/png;base64,([^)]*)\)", page)
    assert len(strips) == 4
    images = [
        cv2.imdecode(np.frombuffer(base64.b64decode(s), np.uint8), cv2.IMREAD_UNCHANGED)
        for s in strips
    ]
    for image, outline in zip(images[::2], images[1::2], strict=True):
        assert outline.shape == (4 * image.shape[0], 4 * image.shape[1], 4)
        assert outline[..., 3].any()


def test_no_string_of_a_scan_becomes_html(predicted, tmp_path):
    hostile = "<script>x=1</script><img src=x onerror='x=1'>\"{{ 7 * 7 }}"
    given = {"patient_id": hostile, "input": hostile, "notes": [hostile], "findings": []}
    empty = view(np.zeros((1, 1, 1), np.int16), np.zeros((1, 1, 1), np.uint16))
    overview, page = predicted.output / "overview.png", tmp_path / "report.html"
    write_page(predicted.content | given, [], empty, overview, page)
    text = page.read_text()
    assert text.count("&lt;script&gt;x=1") == 3
    assert text.count("<script>") == text.count("<img") == 1
    assert "{{ 7 * 7 }}" in text


@pytest.mark.slow
def test_sliders_move_in_a_browser(predicted, browser):
    open_page(browser, predicted.output / "report.html")
    # The script has said which slice each slider shows: the finding's own.
    said = browser.execute_script(
        "return [...document.querySelectorAll('figcaption output')].map(o => o.textContent)"
    )
    numbers, heights = zip(
        *(re.fullmatch(r"(\d+), z (-?[\d.]+) mm", s).groups() for s in said), strict=True
    )
    rows = predicted.content["findings"]
    assert [int(number) for number in numbers] == [row["slice"] for row in rows]
    assert [float(z) for z in heights] == pytest.approx([row["imageZ"] for row in rows], abs=0.06)
    figure = browser.find_element("css selector", "#finding1")
    layers = figure.find_elements("css selector", ".slices div")
    before = [layer.value_of_css_property("background-position-y") for layer in layers]
    figure.find_element("css selector", "input").send_keys(Keys.ARROW_RIGHT)
    after = [layer.value_of_css_property("background-position-y") for layer in layers]
    assert len(set(before)) == len(set(after)) == 1
    assert before != after
    output = figure.find_element("css selector", "output").text
    assert abs(int(output.split(",")[0]) - rows[0]["slice"]) == 1
    browser.find_element("id", "outlines").click()
    assert [layer.is_displayed() for layer in layers] == [True, False]
    assert browser.get_log("browser") == []
