"""Packed points give the reading, or the fault, that the plain parser gives."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lidc_text import document, nodule, non_nodule, roi

from nodulenet.annotations import Reading, lidc_xml, read_lidc_xml
from nodulenet.annotations.lidc_xml import packed_points, unpacked_points
from nodulenet.files import InputError

SQUARE = [(10, 20), (14, 20), (14, 23), (10, 23)]
TEXT = document(nodule("A", roi(SQUARE), roi([(7, 8)])) + non_nodule("X", 3, 4), "", "", "")
POINT = "<edgeMap><xCoord>14</xCoord><yCoord>23</yCoord></edgeMap>"


def outcome(path: Path) -> Reading | str:
    try:
        return read_lidc_xml(path)
    except InputError as error:
        return str(error)


def both(path: Path) -> tuple[Reading | str, Reading | str]:
    """What the packed and what the plain way make of a file."""
    packed = outcome(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lidc_xml, "packed_points", lambda content: None)
        return packed, outcome(path)


def test_by_hand():
    packed = packed_points(TEXT.encode())
    assert packed is not None
    assert b"edgeMap" not in packed
    assert packed.count(b"<points>") == 2
    assert packed.count(b"<locus>") == 1
    assert unpacked_points([" 10 \n 20  14 20", " 3 4"]) == ((10.0, 20.0), (14.0, 20.0), (3.0, 4.0))
    assert unpacked_points([]) == ()


blanks = st.text(" \t\r\n", max_size=3)
outlines = st.lists(st.tuples(st.integers(0, 10**9 - 1), st.integers(0, 511)), max_size=5)


@given(st.lists(outlines, min_size=1, max_size=3), blanks, st.randoms(use_true_random=False))
def test_packed_and_plain_agree(tmp_path_factory, rois, blank, random):
    text = document(nodule("A", *map(roi, rois)), non_nodule("X", 1, 2))
    pieces = text.split("><")
    text = "".join(p + ">" + random.choice(["", blank]) + "<" for p in pieces[:-1]) + pieces[-1]
    path = tmp_path_factory.mktemp("pack") / "a.xml"
    path.write_text(text, newline="")
    packed, plain = both(path)
    assert packed == plain


@pytest.mark.parametrize(
    "new",
    [
        POINT.replace("14", "14.5"),
        POINT.replace("14", "-14"),
        POINT.replace("14", "&#49;4"),
        POINT.replace("14", "9" * 400),
        POINT.replace("14", "1\f4"),
        POINT.replace("><", ">\f<", 1),
        POINT.replace("><", ">words<", 1),
        POINT.replace("<xCoord>", "<xCoord unit='px'>"),
        POINT.replace("<xCoord>14</xCoord>", ""),
        f"<l:edgeMap xmlns:l='http://www.nih.gov'>{POINT[9:-10]}</l:edgeMap>",
        POINT.replace("</edgeMap>", "<zCoord>1</zCoord></edgeMap>"),
        POINT.replace("<edgeMap>", "<edgeMap xmlns='http://example.org'>"),
        f"<!-- {POINT} -->",
        f"<?note {POINT} ?>",
        f"<inclusion><![CDATA[{POINT}]]></inclusion>",
        f"<other>{POINT}</other>",
        f"{POINT}<other/>{POINT}",
        f"<points>1 2</points>{POINT}",
        "<edgeMap/>",
        "<edgeMap>14 23</edgeMap>",
        POINT.replace("</edgeMap>", ""),
        "",
    ],
)
def test_odd_points_are_read_as_without_packing(write, new):
    text = TEXT.replace("\n", "")
    assert text.count(POINT) == 1
    packed, plain = both(write(text.replace(POINT, new)))
    assert packed == plain


def test_a_fault_elsewhere_keeps_its_line(write):
    text = TEXT.replace("</readingSession>", "</readingsession>", 1)
    packed, plain = both(write(text))
    assert packed == plain
    assert "not well-formed XML" in str(packed)


@pytest.mark.slow
def test_real_files_are_packed(lidc_xml: Path):
    contents = [path.read_bytes() for path in sorted(lidc_xml.rglob("*.xml"))[:40]]
    plain = [c for c in contents if b"<LidcReadMessage" in c[:4096] and b"<!" not in c]
    held = [c for c in plain if b"<edgeMap>" in c]
    assert len(held) > 10
    assert all(packed_points(content) is not None for content in held)
