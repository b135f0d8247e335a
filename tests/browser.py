"""A headless Chromium that opens files, and what it had to say about them."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "google-chrome", "chromium-browser")
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--no-first-run")  # fmt: skip


class Unavailable(Exception):
    """Why there can be no browser on this machine."""


@contextmanager
def running() -> Iterator[Any]:
    """Start the system's Chromium through its own driver; nothing is downloaded.

    Raises `Unavailable` with the reason.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        missing = "chromedriver" if program else "Chromium"
        raise Unavailable(f"no {missing}: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    os.environ["SE_OFFLINE"] = "true"
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def open_page(browser: Any, path: Path, width: int = 1280, height: int = 900) -> None:
    """Open a file in a window of this size and check it: no word in the console, every picture
    loaded, nothing asked for but the file itself and what it holds.
    """
    browser.get_log("browser")
    browser.get_log("performance")
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    broken = (
        "return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
    )
    assert browser.execute_script(broken) == []
    asked = [url for url in requests(browser) if not url.startswith("data:")]
    assert asked == [path.as_uri()]


def requests(browser: Any) -> list[str]:
    """The addresses that the browser asked for since its log was last read."""
    entries = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [
        entry["params"]["request"]["url"]
        for entry in entries
        if entry["method"] == "Network.requestWillBeSent"
    ]
