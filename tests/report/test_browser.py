"""The report in a real browser: it opens quietly, filters and sort do what they say."""

import pandas as pd
import pytest
import small_report
from browser import open_page

pytestmark = pytest.mark.slow

SHOWN = "return [...document.querySelectorAll('.card:not([hidden]) h3')].map(h => h.textContent)"
SET = """
const field = document.forms.filters.elements[arguments[0]];
field.value = arguments[1];
field.dispatchEvent(new Event("input", {bubbles: true}));
"""
UNMARKED, LATE = "Nodule 2: no mark", "Nodule 1: found late"
FIRST, SECOND = "False positive 1", "False positive 2"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A page with a nodule without a mark (level 3, 9 mm), one found late (level 4, 19 mm, 0.8)
    and two false positives (10 mm; 0.95 in fold 1, 0.6).
    """
    folder = tmp_path_factory.mktemp("small")
    sources = small_report.build(folder)
    table = pd.read_csv(sources.nodules)
    table.loc[table["seriesuid"] == "s1", "false_positives_per_scan"] = 1.5
    table.to_csv(sources.nodules, index=False)
    small_report.leave_out(sources, "1.2.3", "p", "<b onclick='hostile=1'>no slices</b>")
    small_report.page(sources, folder / "report.html", synthetic=3)
    return folder / "report.html"


@pytest.fixture
def opened(browser, path):
    open_page(browser, path)
    return browser


def shown(browser, **fields):
    for name, value in fields.items():
        browser.execute_script(SET, name.replace("_", "-"), value)
    return browser.execute_script(SHOWN)


def reset(browser):
    browser.find_element("css selector", "#filters button").click()
    return shown(browser)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_quietly_at_every_width(browser, path, width):
    open_page(browser, path, width)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0
    narrowest = (
        "return Math.min(...[...document.querySelectorAll('.text')].map(c => c.offsetWidth))"
    )
    assert browser.execute_script("document.querySelector('details').open = true;" + narrowest) > 60
    assert browser.execute_script("return typeof hostile") == "undefined"
    assert "synthetic" in browser.find_element("id", "synthetic").text.lower()


def test_filters(opened):
    everything = [UNMARKED, LATE, FIRST, SECOND]
    assert shown(opened) == everything
    output = opened.find_element("css selector", "#filters output")
    assert output.text == "4 of 4 shown"
    assert shown(opened, kind="unmarked below") == [UNMARKED, LATE]
    assert output.text == "2 of 4 shown"
    assert shown(opened, kind="false") == [FIRST, SECOND]
    assert reset(opened) == everything
    assert shown(opened, level="3") == [UNMARKED]
    assert shown(opened, level="none") == [FIRST, SECOND]
    assert reset(opened) == everything
    assert shown(opened, diameter_from="10") == [LATE, FIRST, SECOND]
    assert shown(opened, diameter_to="10") == [FIRST, SECOND]
    assert reset(opened) == everything
    assert shown(opened, probability_from="0.7") == [LATE, FIRST]
    assert shown(opened, probability_from="", probability_to="0.7") == [UNMARKED, SECOND]
    assert shown(opened, probability_to="-1") == []
    assert output.text == "0 of 4 shown"
    assert reset(opened) == everything


def test_sort(opened):
    assert shown(opened, sort="diameter -1") == [LATE, FIRST, SECOND, UNMARKED]
    assert shown(opened, sort="probability -1") == [FIRST, LATE, SECOND, UNMARKED]
    assert shown(opened, sort="probability 1") == [UNMARKED, SECOND, LATE, FIRST]
    assert shown(opened, sort="level -1", kind="unmarked below") == [LATE, UNMARKED]
    assert reset(opened) == [UNMARKED, LATE, FIRST, SECOND]


def test_outlines_lie_over_the_picture_and_go(opened):
    box = (
        "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
        " return [r.x, r.y, r.width, r.height]"
    )
    picture, layer = (opened.execute_script(box, f".card .cuts {name}") for name in ("img", "svg"))
    assert picture == pytest.approx(layer, abs=1)
    visible = (
        "return getComputedStyle(document.querySelector('.card path.truth')).display !== 'none'"
    )
    assert opened.execute_script(visible)
    opened.find_element("name", "outlines").click()
    assert not opened.execute_script(visible)
    opened.find_element("name", "outlines").click()


def test_without_scripts_all_cards_are_there(browser, path):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(path.as_uri())
        assert len(browser.find_elements("css selector", ".card")) == 4
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_on_paper_the_filters_are_gone_and_the_cards_are_not(browser, path):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        browser.get(path.as_uri())
        assert not browser.find_element("id", "filters").is_displayed()
        assert browser.find_element("css selector", ".card").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
