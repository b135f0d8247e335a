"""The template engine: every string escaped, nothing left out in silence, pictures inside."""

import base64

import cv2
import numpy as np
import pytest
from jinja2 import UndefinedError

from nodulenet.pages import data_uri, png, render


def write_package(package, template):
    """A package with one page."""
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "own.html").write_text(template)
    (package / "own.css").write_text("b { color: red > blue }")
    (package / "own.js").write_text("if (1 < 2 && true) {}")


@pytest.fixture
def page(tmp_path, monkeypatch):
    """What a template makes of some content."""
    monkeypatch.syspath_prepend(tmp_path)

    def made(body, **content):
        block = f"{{% block body %}}{body}{{% endblock %}}"
        package = tmp_path / f"page_of_{tmp_path.name}"  # a name that no other test imported
        write_package(package, f'{{% extends "pages/base.html" %}}{block}')
        return render(package.name, "own", **content)

    return made


def test_strings_are_escaped_and_the_page_s_own_parts_are_not(page):
    html = page("<p title='{{ a }}'>{{ a }}</p>", a="<b>'\"&{{ 1 }}")
    escaped = "&lt;b&gt;&#39;&#34;&amp;{{ 1 }}"
    assert f"<p title='{escaped}'>{escaped}</p>" in html
    assert "b { color: red > blue }" in html
    assert "<script>if (1 < 2 && true) {}</script>" in html


def test_a_value_that_is_not_given_is_an_error(page):
    with pytest.raises(UndefinedError, match="missing"):
        page("{{ missing }}")


def test_pictures_are_whole():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    head, data = png(image).split(",")
    assert head == "data:image/png;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, image)
    assert data_uri(b"<svg/>", "svg+xml") == "data:image/svg+xml;base64,PHN2Zy8+"
