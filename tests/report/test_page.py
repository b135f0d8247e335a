"""report.html as a file: whole, self-contained, and no string of the data becomes HTML."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest
import small_report

from nodulenet.files import InputError

HOSTILE = "<script>hostile=1</script><img src=x onerror='hostile=1'>\"'></svg>&amp;{{ 7*7 }}"
VOID = {"meta", "img", "input", "br"}


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text; an unclosed tag is an error."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return small_report.build(tmp_path_factory.mktemp("small"))


def test_the_page_is_whole_and_needs_nothing_else(sources, tmp_path):
    page = small_report.page(sources, tmp_path / "report.html")
    held = Elements(page)
    ids = [attrs["id"] for _, attrs in held.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for attrs in held.of("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    images = held.of("img")
    # Five figures, one for each fold's training, and a strip for each of three cards.
    assert len(images) == 4 + 2 + 3
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in images)
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:|#|["'])\S+""", page) == []
    assert "https:" not in page
    assert "@import" not in page
    levels = [int(tag[1]) for tag, _ in held.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    policy = held.of("meta")[1]["content"]
    script = re.search(r"<script>(.*)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_same_files_give_the_same_page(sources, tmp_path):
    first = small_report.page(sources, tmp_path / "a.html")
    assert small_report.page(sources, tmp_path / "b.html") == first


def test_a_single_test_set_is_not_called_a_cross_validation(tmp_path):
    sources = small_report.build(tmp_path / "small")
    assert "in cross-validation by patient" in small_report.page(sources, tmp_path / "a.html")
    content = json.loads(sources.froc["full"].read_text())
    for one in content["sets"].values():
        one["folds"] = {"0": next(iter(one["folds"].values()))}
    sources.froc["full"].write_text(json.dumps(content))
    assert "cross-validation" not in small_report.page(sources, tmp_path / "b.html")


def test_synthetic_images_are_said_to_be(sources, tmp_path):
    assert 'id="synthetic"' not in small_report.page(sources, tmp_path / "a.html")
    page = small_report.page(sources, tmp_path / "b.html", synthetic=3)
    assert "The CT of this cohort is\nsimulated" in page
    page = small_report.page(sources, tmp_path / "c.html", synthetic=1)
    assert "The CT of 1 of the 3 scans is\nsimulated" in page


def test_no_string_of_the_data_becomes_html(tmp_path):
    sources = small_report.build(tmp_path)
    plain = Elements(small_report.page(sources, tmp_path / "plain.html"))
    small_report.leave_out(sources, f"uid {HOSTILE}", f"patient {HOSTILE}", f"reason {HOSTILE}")
    manifest = pd.read_csv(sources.manifest, sep="\t", dtype=str, keep_default_na=False)
    manifest.loc[0, ["patient_id", "lost"]] = [f"p {HOSTILE}", f"lost {HOSTILE}"]
    manifest.loc[0, "warnings"] = f"warning {HOSTILE}"
    manifest.to_csv(sources.manifest, sep="\t", index=False)
    record = sources.manifest.parent / "volumes/s0.json"
    scanner = {"scanner": {"manufacturer": f"m {HOSTILE}"}}
    record.write_text(json.dumps(json.loads(record.read_text()) | scanner))
    held = Elements(small_report.page(sources, tmp_path / "report.html", cohort=f"c {HOSTILE}"))
    text = "".join(held.text)
    for name in ("uid", "patient", "reason", "p", "lost", "warning", "m", "c"):
        assert f"{name} {HOSTILE}" in text, name
    assert len(held.of("script")) == 1
    assert len(held.of("img")) == len(plain.of("img"))
    allowed = set().union(*(attrs for _, attrs in plain.elements))
    assert set().union(*(attrs for _, attrs in held.elements)) <= allowed
    assert not any(name.startswith("on") for name in allowed)


def test_nothing_missed_and_no_false_positive(tmp_path):
    sources = small_report.build(tmp_path)
    for path in (sources.nodules, sources.false_positives):
        table = pd.read_csv(path)
        keep = table["found"] == 1 if "found" in table else table["seriesuid"] == ""
        table[keep].to_csv(path, index=False)
    held = Elements(small_report.page(sources, tmp_path / "report.html"))
    assert "There is nothing to show" in "".join(held.text)
    assert held.of("form") == held.of("article") == []


def test_the_challenge_s_protocol_and_no_bootstrap(tmp_path, monkeypatch):
    monkeypatch.setattr(small_report, "SAMPLES", 0)
    sources = small_report.build(tmp_path, "luna16", fold1="full")
    text = "".join(Elements(small_report.page(sources, tmp_path / "report.html")).text)
    assert "Protocol luna16: the challenge's nodules" in text
    assert "95 % interval" not in text
    assert "Stage full: the weights of fold1 were given in the config" in text
    assert "1 scan of the challenge's list not among the used scans" in text
    assert text.count("False positive ") == 3


def test_a_cohort_without_masks_outlines_or_training(sources, tmp_path):
    figures = {name: sources.figures[name] for name in ("froc", "ablation", "timings")}
    bare = {"froc": {"ncs": sources.froc["ncs"]}, "figures": figures}
    one = small_report.replace(sources, **bare)
    text = "".join(Elements(small_report.page(one, tmp_path / "a.html", outlined=False)).text)
    assert "No evaluated stage has masks" in text
    assert "Nothing was trained here" in text
    assert "positions and diameters alone" in text
    assert "the box that stands for a listed nodule" in text


def test_a_damaged_file_is_named(sources, tmp_path):
    (tmp_path / "froc.json").write_text("{")
    broken = small_report.replace(sources, froc={"full": tmp_path / "froc.json"})
    with pytest.raises(InputError, match=r"froc\.json"):
        small_report.page(broken, tmp_path / "report.html")
    lost = small_report.replace(sources, figures={"froc": tmp_path / "none.svg"})
    with pytest.raises(InputError, match=r"none\.svg"):
        small_report.page(lost, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
