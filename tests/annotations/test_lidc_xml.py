import hashlib
from pathlib import Path

import pytest
from lidc_text import CXR, SERIES, document, nodule, non_nodule, points, roi

from nodulenet.annotations import Mark, Roi, read_lidc_xml
from nodulenet.annotations.lidc_files import ct_series_uid
from nodulenet.files import InputError

SQUARE = [(10, 20), (14, 20), (14, 23), (10, 23)]


def fault(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_lidc_xml(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_every_mark_is_read_in_file_order(write):
    path = write(
        document(
            nodule("N1", roi(SQUARE), roi([(11, 21), (12, 21), (12, 22)], "-8.0", "FALSE"))
            + non_nodule("X1", 300, 301)
            + nodule("N2", roi([(40, 41)]), characteristics=""),
            "",
            non_nodule("X2", 5, 6),
            nodule("N3", roi(SQUARE)),
        )
    )
    reading = read_lidc_xml(path)
    assert reading.series_uid == SERIES
    assert reading.source == str(path)
    assert reading.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert reading.flags == ()
    assert [session.reader for session in reading.sessions] == ["100", "101", "102", "103"]
    square = Roi(-10.5, True, tuple((float(x), float(y)) for x, y in SQUARE), "1.9.-10.5")
    hole = Roi(-8.0, False, ((11.0, 21.0), (12.0, 21.0), (12.0, 22.0)), "1.9.-8.0")
    assert reading.sessions[0].marks == (
        Mark("nodule", "N1", (square, hole), {"subtlety": 3, "malignancy": 5}),
        Mark("non_nodule", "X1", (Roi(-8.0, True, ((300.0, 301.0),), "1.9.7"),)),
        Mark("small", "N2", (Roi(-10.5, True, ((40.0, 41.0),), "1.9.-10.5"),)),
    )
    assert reading.sessions[1].marks == ()
    assert [mark.kind for mark in reading.sessions[2].marks] == ["non_nodule"]
    assert [mark.mark_id for mark in reading.sessions[3].marks] == ["N3"]


def test_several_rois_on_one_slice_all_stay(write):
    mark = nodule("N", roi(SQUARE), roi([(x + 20, y) for x, y in SQUARE]))
    (read,) = read_lidc_xml(write(document(mark, "", "", ""))).sessions[0].marks
    assert [r.z for r in read.rois] == [-10.5, -10.5]
    assert [r.vertices[0] for r in read.rois] == [(10.0, 20.0), (30.0, 20.0)]


@pytest.mark.parametrize(
    ("mark", "kind", "flag"),
    [
        (nodule("N", roi([(1, 2)])), "nodule", "characteristics on a single point"),
        (
            nodule("N", roi([(1, 2)]), characteristics="<characteristics/>"),
            "small",
            "characteristics present but empty",
        ),
        (
            nodule("N", roi(SQUARE), characteristics=""),
            "small",
            "outlined without characteristics",
        ),
        (nodule("N", roi(SQUARE), roi([(9, 9)])), "nodule", "ROI 2: a stray single point"),
    ],
)
def test_odd_marks_are_kept_and_flagged(write, mark, kind, flag):
    reading = read_lidc_xml(write(document("", mark, "", "")))
    assert [m.kind for m in reading.sessions[1].marks] == [kind]
    assert reading.flags == (f"session 2, nodule 'N': {flag}",)


def test_other_numbers_of_sessions_are_flagged(write):
    assert read_lidc_xml(write(document("", "", ""))).flags == ("3 reading sessions",)
    assert len(read_lidc_xml(write(document(*[""] * 8))).sessions) == 8


def test_comments_and_white_space_are_passed_over(write):
    text = document(nodule("N", roi(SQUARE)), "", "", "")
    text = text.replace("<edgeMap>", "<!-- <edgeMap/> -->\n <edgeMap>\n<!-- x --> ")
    text = text.replace("<xCoord>14<", "<xCoord> 14\n<")
    assert read_lidc_xml(write(text)).sessions[0].marks[0].rois[0].vertices[1] == (14.0, 20.0)


SECOND = "session 2, nodule 'B', ROI 2"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<imageZposition>7</imageZposition>", "", f"{SECOND}: no imageZposition"),
        ("<imageZposition>7<", "<imageZposition> <", f"{SECOND}: no imageZposition"),
        ("<imageZposition>7<", "<imageZposition>nan<", f"{SECOND}: imageZposition 'nan' is not a"),
        ("<imageZposition>7<", "<imageZposition>7,5<", f"{SECOND}: imageZposition '7,5' is not a"),
        ("<xCoord>77</xCoord>", "", f"{SECOND}, edgeMap 2: not an xCoord and a yCoord"),
        ("<yCoord>78</yCoord>", "", f"{SECOND}, edgeMap 2: not an xCoord and a yCoord"),
        ("<yCoord>78</yCoord>", "<xCoord>78</xCoord>", f"{SECOND}, edgeMap 2: not an xCoord"),
        ("<xCoord>77<", "<xCoord>seven<", f"{SECOND}, edgeMap 2: not an xCoord and a yCoord"),
        ("<xCoord>77<", "<xCoord>inf<", f"{SECOND}, edgeMap 2: not an xCoord and a yCoord"),
        ("<xCoord>77<", "<xCoord>7_7<", f"{SECOND}, edgeMap 2: not an xCoord and a yCoord"),
        ("<imageZposition>7<", "<imageZposition>7_0<", f"{SECOND}: imageZposition '7_0' is not a"),
        ("<subtlety>3<", "<subtlety>3_0<", "session 2, nodule 'A': characteristics: '3_0' is no"),
        ("<inclusion>FALSE<", "<inclusion>no<", f"{SECOND}: inclusion is 'NO'"),
        ("<subtlety>3<", "<subtlety>three<", "session 2, nodule 'A': characteristics: "),
    ],
)
def test_a_faulty_roi_is_named(write, old, new, message):
    rois = roi(SQUARE), roi([(1, 1), (77, 78)], "7", "FALSE")
    text = document("", nodule("A", roi(SQUARE)) + nodule("B", *rois, characteristics=""))
    assert text.count(old) == 1
    assert fault(write(text.replace(old, new))).startswith(message)


def test_a_mark_without_points_is_named(write):
    assert fault(write(document(nodule("A", roi([]))))) == (
        "session 1, nodule 'A', ROI 1: no edgeMap, so no vertices"
    )
    assert fault(write(document("", nodule("A")))) == "session 2, nodule 'A': no ROI"
    text = document(non_nodule("X", 1, 2)).replace(points([(1, 2)], "locus"), "")
    assert fault(write(text)) == "session 1, non-nodule 'X': no locus, so no vertices"
    text = document(non_nodule("X", 1, 2, z=""))
    assert fault(write(text)) == "session 1, non-nodule 'X': no imageZposition"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("readingSession", "readingSesion", ""),
        ("unblindedReadNodule", "blindedReadNodule", "session 1: "),
        ("characteristics", "characteristic", "session 1, nodule 'A': "),
        ("roi", "rois", "session 1, nodule 'A': "),
        ("edgeMap", "edge", "session 1, nodule 'A', ROI 1: "),
        ("locus", "place", "session 1, non-nodule 'X': "),
    ],
)
def test_a_misspelt_element_is_an_error_and_no_loss(write, old, new, place):
    text = document(nodule("A", roi(SQUARE), roi(SQUARE, "7")) + non_nodule("X", 1, 2))
    spoilt = write(text.replace(old, new))
    assert fault(spoilt) == f"{place}an element {new}, which no LIDC file has there"


def test_a_truncated_file_is_not_read(write):
    text = document(nodule("A", roi(SQUARE)))
    for length in (0, 40, 200, len(text) // 2, len(text) - 1):
        assert fault(write(text[:length])).startswith("not well-formed XML: ")


def test_a_missing_file_and_one_without_series(write, tmp_path):
    assert fault(tmp_path / "no.xml") == "No such file or directory"
    path = write(document("", series=""))
    assert fault(path) == "no SeriesInstanceUid in the header"
    with pytest.raises(InputError, match="no SeriesInstanceUid"):
        ct_series_uid(path)


def test_entities_are_refused(write, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    text = document(nodule("&secret;", roi(SQUARE)))
    declaration = f'<!DOCTYPE LidcReadMessage [<!ENTITY secret SYSTEM "{secret.as_uri()}">]>'
    path = write(text.replace("<LidcReadMessage", f"{declaration}<LidcReadMessage"))
    message = fault(path)
    assert message.startswith("has a document type declaration")
    assert "hidden" not in message


def test_the_root_tells_ct_from_chest_x_ray(write):
    assert ct_series_uid(write(document(""))) == SERIES
    path = write(CXR)
    assert ct_series_uid(path) is None
    assert fault(path) == "a chest X-ray reading, not a CT reading"
    # The same local name outside the namespace is another format.
    path = write(document("").replace("www.nih.gov", "example.org"))
    with pytest.raises(InputError, match="no LIDC reading: the root element is"):
        ct_series_uid(path)
    assert "no LIDC reading" in fault(path)


def test_the_head_is_read_without_the_rest(write):
    path = write(document(nodule("A", roi([(x, 3) for x in range(400)])))[:-100])
    assert ct_series_uid(path) == SERIES
