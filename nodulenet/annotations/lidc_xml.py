"""Read the LIDC-IDRI radiologists' XML files.

Nine tenths of a file are elements `edgeMap` of one point each. To save time, a file that writes all
of them plainly is rewritten, before it is parsed, with one element `points` for each run of points;
any other file is parsed as it is, with the same result.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from lxml import etree

from nodulenet.annotations.records import Mark, MarkKind, Reading, Roi, Session
from nodulenet.files import InputError, opening, reason_of, require_uid
from nodulenet.numerals import to_count, to_number

LIDC = "{http://www.nih.gov}"
CT_ROOT = f"{LIDC}LidcReadMessage"
CXR_ROOT = "{http://www.nih.gov/idri}IdriReadMessage"
X, Y = f"{LIDC}xCoord", f"{LIDC}yCoord"
SESSIONS = 4
DOCTYPE = b"<!DOCTYPE"
NO_DTD = "has a document type declaration, which no LIDC file has"
# Every element of the corpus, by place. A reading with another one, such as a misspelt outline, is
# refused: marks would be lost silently.
KNOWN = {
    place: {f"{LIDC}{name}" for name in names.split()}
    for place, names in {
        "reading": "ResponseHeader readingSession",
        "session": "annotationVersion servicingRadiologistID unblindedReadNodule nonNodule",
        "nodule": "noduleID characteristics roi",
        "roi": "imageZposition imageSOP_UID inclusion edgeMap points",
        "non_nodule": "nonNoduleID imageZposition imageSOP_UID locus",
    }.items()
}
BLANK = rb"[ \t\r\n]*+"
POINT = rb"<edgeMap>_<xCoord>_[0-9]{1,9}+_</xCoord>_<yCoord>_[0-9]{1,9}+_</yCoord>_</edgeMap>_"
# Not possessive itself: before Python 3.11.5 such a group takes the start of what does not match.
RUN = re.compile(rb"(?:" + POINT.replace(b"_", BLANK) + rb")+")
# Within a run the brackets become blanks and the letters of its three tags are deleted.
BLANKS = bytes.maketrans(b"<>/", b"   ")
LETTERS = bytes(set(b"edgeMapxCoordyCoord"))
Vertices = tuple[tuple[float, float], ...]

_coordinate = lru_cache(maxsize=4096)(float)


def read_lidc_xml(path: Path | str) -> Reading:
    """Read every mark of every reading session of one CT series.

    A mark with characteristics is a `nodule` (>= 3 mm, the published rule), one without is
    `small` (< 3 mm), a nonNodule element is a `non_nodule`. Oddities that can be read are in the
    flags of the reading. Vertices are (x, y) pixel indices, z is world mm.

    Raises `InputError` naming file, session, mark and ROI if the file is malformed, is a chest
    X-ray reading, lacks a position or a point, or has an element that no LIDC file has there.
    """
    with opening(path):
        content = Path(path).read_bytes()
    root = _parse(path, content)
    named = root.findtext(f"{LIDC}ResponseHeader/{LIDC}SeriesInstanceUid")
    series_uid = series_of(path, str(root.tag), named)
    if series_uid is None:
        raise InputError(f"{path}: a chest X-ray reading, not a CT reading")
    _check_known(root, "reading", str(path))
    elements = root.findall(f"{LIDC}readingSession")
    flags = [] if len(elements) == SESSIONS else [f"{len(elements)} reading sessions"]
    sessions = tuple(_session(e, f"session {n}", path, flags) for n, e in enumerate(elements, 1))
    digest = hashlib.sha256(content).hexdigest()
    return Reading(series_uid, sessions, str(path), digest, tuple(flags))


def series_of(path: Path | str, root: str, uid: str | None) -> str | None:
    """The series UID of a CT reading from its root tag and header, None for a chest X-ray reading.

    Raises `InputError` if it is neither or names no series.
    """
    if root == CXR_ROOT:
        return None
    if root != CT_ROOT:
        raise InputError(f"{path}: no LIDC reading: the root element is {root}")
    if not (uid or "").strip():
        raise InputError(f"{path}: no SeriesInstanceUid in the header")
    return require_uid(str(uid).strip(), path)


def not_well_formed(path: Path | str, error: etree.XMLSyntaxError) -> InputError:
    """The error to raise for a parser's."""
    return InputError(f"{path}: not well-formed XML: {' '.join(str(error.msg).split())}")


def _parse(path: Path | str, content: bytes) -> etree._Element:
    # Before any of it is parsed: entities are declared there.
    if DOCTYPE in content:
        raise InputError(f"{path}: {NO_DTD}")
    root = None
    with suppress(etree.XMLSyntaxError):  # the plain content tells where the fault is
        root = _root(packed_points(content) or content)
    try:
        root = _root(content) if root is None else root
    except etree.XMLSyntaxError as error:
        raise not_well_formed(path, error) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise InputError(f"{path}: {NO_DTD}")
    return root


def _root(content: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False,
        remove_comments=True, remove_pis=True, remove_blank_text=True,
    )  # fmt: skip
    return etree.fromstring(content, parser)


def packed_points(content: bytes) -> bytes | None:
    """An XML file with each run of points as one element `points`, or None if that is unsafe.

    It is safe if every `edgeMap` of the file is a point of two whole numbers without prefix,
    attribute or entity, and nothing in the file (comment, CDATA, document type) can hold text
    that looks like an element but is none.
    """
    packed, runs = RUN.subn(
        lambda run: b"<points>" + run[0].translate(BLANKS, LETTERS) + b"</points>", content
    )
    foreign = packed.count(b"points") > 2 * runs
    return None if foreign or b"edgeMap" in packed or b"<!" in packed else packed


def unpacked_points(texts: Iterable[str]) -> Vertices:
    """The points (x, y) of the elements `points` of one outline."""
    numbers = map(_coordinate, " ".join(texts).split())
    return tuple(zip(numbers, numbers, strict=True))


def _session(element: etree._Element, place: str, path: Path | str, flags: list[str]) -> Session:
    marks = []
    _check_known(element, "session", f"{path}: {place}")
    for child in element.iterchildren(f"{LIDC}unblindedReadNodule", f"{LIDC}nonNodule"):
        if child.tag == f"{LIDC}nonNodule":
            marks.append(_non_nodule(child, place, path))
        else:
            marks.append(_nodule(child, place, path, flags))
    reader = (element.findtext(f"{LIDC}servicingRadiologistID") or "").strip()
    return Session(reader or None, tuple(marks))


def _non_nodule(element: etree._Element, place: str, path: Path | str) -> Mark:
    fields = _fields(element)
    mark_id = _text(fields, "nonNoduleID")
    where = f"{path}: {place}, non-nodule {mark_id!r}"
    _check_known(element, "non_nodule", where)
    z, sop_uid = _slice(fields, where)
    roi = Roi(z, True, _vertices(element, "locus", where), sop_uid)
    return Mark("non_nodule", mark_id, (roi,))


def _nodule(element: etree._Element, place: str, path: Path | str, flags: list[str]) -> Mark:
    mark_id = (element.findtext(f"{LIDC}noduleID") or "").strip()
    place = f"{place}, nodule {mark_id!r}"
    _check_known(element, "nodule", f"{path}: {place}")
    rois = tuple(
        _roi(roi, f"{path}: {place}, ROI {number}")
        for number, roi in enumerate(element.iterchildren(f"{LIDC}roi"), 1)
    )
    if not rois:
        raise InputError(f"{path}: {place}: no ROI")
    block = element.find(f"{LIDC}characteristics")
    characteristics = {} if block is None else _characteristics(block, f"{path}: {place}")
    if block is not None and not characteristics:
        flags.append(f"{place}: characteristics present but empty")
    kind: MarkKind = "nodule" if characteristics else "small"
    flags.extend(f"{place}: {oddity}" for oddity in _oddities(kind, rois))
    return Mark(kind, mark_id, rois, characteristics)


def _roi(element: etree._Element, where: str) -> Roi:
    fields = _fields(element)
    _check_known(element, "roi", where)
    inclusion = _text(fields, "inclusion").upper()
    if inclusion not in ("TRUE", "FALSE"):
        raise InputError(f"{where}: inclusion is {inclusion!r}, neither TRUE nor FALSE")
    packed = [child.text or "" for child in element.iterchildren(f"{LIDC}points")]
    vertices = unpacked_points(packed) or _vertices(element, "edgeMap", where)
    z, sop_uid = _slice(fields, where)
    return Roi(z, inclusion == "TRUE", vertices, sop_uid)


def _check_known(element: etree._Element, place: str, where: str) -> None:
    if unknown := {str(child.tag) for child in element} - KNOWN[place]:
        name = min(unknown).removeprefix(LIDC)
        raise InputError(f"{where}: an element {name}, which no LIDC file has there")


def _fields(element: etree._Element) -> dict[str, str | None]:
    """Text of the children by tag; the first of several with one tag counts."""
    return {str(child.tag): child.text for child in element.iterchildren(reversed=True)}


def _text(fields: Mapping[str, str | None], name: str) -> str:
    return (fields.get(f"{LIDC}{name}") or "").strip()


def _slice(fields: Mapping[str, str | None], where: str) -> tuple[float, str | None]:
    """World z in mm and the SOP instance UID, if there is one, of the slice of an outline."""
    if not (text := _text(fields, "imageZposition")):
        raise InputError(f"{where}: no imageZposition")
    try:
        return to_number(text), _text(fields, "imageSOP_UID") or None
    except ValueError as error:
        raise InputError(f"{where}: imageZposition {error}") from error


def _vertices(element: etree._Element, name: str, where: str) -> Vertices:
    vertices = []
    try:
        for x, y in element.iterchildren(f"{LIDC}{name}"):
            if x.tag != X or y.tag != Y:
                raise ValueError
            vertices.append((to_number((x.text or "").strip()), to_number((y.text or "").strip())))
    except ValueError as error:
        place = f"{where}, {name} {len(vertices) + 1}"
        raise InputError(f"{place}: not an xCoord and a yCoord that are numbers") from error
    if not vertices:
        raise InputError(f"{where}: no {name}, so no vertices")
    return tuple(vertices)


def _characteristics(block: etree._Element, where: str) -> dict[str, int]:
    try:
        return {etree.QName(c).localname: to_count((c.text or "").strip()) for c in block}
    except ValueError as error:
        raise InputError(f"{where}: characteristics: {reason_of(error)}") from error


def _oddities(kind: MarkKind, rois: tuple[Roi, ...]) -> list[str]:
    """What is odd about the outlines of a mark of this kind."""
    single = [number for number, roi in enumerate(rois, 1) if len(roi.vertices) == 1]
    if len(single) == len(rois):
        return ["characteristics on a single point"] if kind == "nodule" else []
    found = [f"ROI {number}: a stray single point" for number in single]
    if kind == "small":
        found.insert(0, "outlined without characteristics")
    return found
