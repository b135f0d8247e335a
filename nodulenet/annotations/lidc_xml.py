"""Read the LIDC-IDRI radiologists' XML files."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, cast

from lxml import etree

from nodulenet.annotations.lidc_points import POINTS, packed_points, unpacked_points
from nodulenet.annotations.records import Mark, MarkKind, Reading, Roi, Session
from nodulenet.files import InputError, require_uid
from nodulenet.numerals import to_count, to_number

LIDC = "{http://www.nih.gov}"
CT_ROOT = f"{LIDC}LidcReadMessage"
CXR_ROOT = "{http://www.nih.gov/idri}IdriReadMessage"
X, Y = f"{LIDC}xCoord", f"{LIDC}yCoord"
SESSIONS = 4
# Every element that the corpus has in these places: a reading with another one, a misspelt outline
# say, would lose something without a word.
KNOWN = {
    "reading": {f"{LIDC}ResponseHeader", f"{LIDC}readingSession"},
    "session": {
        *(f"{LIDC}{name}" for name in ("annotationVersion", "servicingRadiologistID")),
        *(f"{LIDC}{name}" for name in ("unblindedReadNodule", "nonNodule")),
    },
    "nodule": {f"{LIDC}{name}" for name in ("noduleID", "characteristics", "roi")},
    "roi": {
        *(f"{LIDC}{name}" for name in ("imageZposition", "imageSOP_UID", "inclusion", "edgeMap")),
        POINTS,
    },
    "non_nodule": {
        *(f"{LIDC}{name}" for name in ("nonNoduleID", "imageZposition", "imageSOP_UID", "locus")),
    },
}
DOCTYPE = b"<!DOCTYPE"
NO_DTD = "has a document type declaration, which no LIDC file has"

HEAD_BYTES = 4096


def lidc_root(path: Path | str) -> Literal["ct", "cxr"]:
    """Tell a CT reading from a chest X-ray reading by the root element of the file.

    Raises `InputError` when the file is neither or is not XML.
    """
    return _root_kind(path, _head(path)[0])


def lidc_series_uid(path: Path | str) -> str:
    """Series instance UID of a CT reading, from the head of the file alone.

    Raises `InputError` when the file is no CT reading or its header names no series.
    """
    series_uid = ct_series_uid(path)
    if series_uid is None:
        raise InputError(f"{path}: a chest X-ray reading, not a CT reading")
    return series_uid


def ct_series_uid(path: Path | str) -> str | None:
    """Series instance UID from the head of a file, None for a chest X-ray reading.

    Raises `InputError` when the file is neither reading or its header names no series.
    """
    tag, series_uid = _head(path)
    if _root_kind(path, tag) == "cxr":
        return None
    if not series_uid:
        raise InputError(f"{path}: no SeriesInstanceUid in the header")
    return require_uid(series_uid, path)


def read_lidc_xml(path: Path | str) -> Reading:
    """Read every mark of every reading session of one CT series.

    A mark with characteristics is a `nodule` (>= 3 mm, the published rule), one without is
    `small` (< 3 mm), a nonNodule element is a `non_nodule`. What is odd but readable is said in
    the flags of the reading. Vertices are (x, y) pixel indices, z is world mm.

    Raises `InputError` naming file, session, mark and ROI when the file is malformed, is a chest
    X-ray reading, lacks a position or a point, or has an element that no LIDC file has there.
    """
    content = _content(path)
    root = _parse(path, content)
    if _root_kind(path, str(root.tag)) == "cxr":
        raise InputError(f"{path}: a chest X-ray reading, not a CT reading")
    series_uid = (root.findtext(f"{LIDC}ResponseHeader/{LIDC}SeriesInstanceUid") or "").strip()
    if not series_uid:
        raise InputError(f"{path}: no SeriesInstanceUid in the header")
    require_uid(series_uid, path)
    _check_known(map(str, (child.tag for child in root)), "reading", str(path))
    elements = root.findall(f"{LIDC}readingSession")
    flags = [] if len(elements) == SESSIONS else [f"{len(elements)} reading sessions"]
    sessions = []
    for number, element in enumerate(elements, 1):
        sessions.append(_session(element, f"session {number}", path, flags))
    digest = hashlib.sha256(content).hexdigest()
    return Reading(series_uid, tuple(sessions), str(path), digest, tuple(flags))


def _content(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _parse(path: Path | str, content: bytes) -> etree._Element:
    # Before anything of it is parsed: entities are declared there.
    if DOCTYPE in content:
        raise InputError(f"{path}: {NO_DTD}")
    try:
        root = _packed_root(content)
        root = _root(content) if root is None else root
    except etree.XMLSyntaxError as error:
        raise InputError(f"{path}: not well-formed XML: {_one_line(error.msg)}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise InputError(f"{path}: {NO_DTD}")
    return root


def _packed_root(content: bytes) -> etree._Element | None:
    """The root with the points packed, None where that is not possible or not well-formed."""
    packed = packed_points(content)
    try:
        return None if packed is None else _root(packed)
    except etree.XMLSyntaxError:
        return None  # the plain content tells where the fault is


def _root(content: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False,
        remove_comments=True, remove_pis=True, remove_blank_text=True,
    )  # fmt: skip
    return etree.fromstring(content, parser)


def _head(path: Path | str) -> tuple[str, str]:
    """Tag of the root and the series UID of the header ("" when it is not there)."""
    tag = ""
    parser = etree.XMLPullParser(
        events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False
    )
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(HEAD_BYTES):
                if DOCTYPE in chunk:
                    raise InputError(f"{path}: {NO_DTD}")
                parser.feed(chunk)
                events = cast(Iterator[tuple[str, etree._Element]], parser.read_events())
                for event, element in events:
                    tag = tag or str(element.tag)
                    if tag != CT_ROOT or (event, element.tag) == ("end", f"{LIDC}ResponseHeader"):
                        return tag, (element.findtext(f"{LIDC}SeriesInstanceUid") or "").strip()
        parser.close()
    except etree.XMLSyntaxError as error:
        raise InputError(f"{path}: not well-formed XML: {_one_line(error.msg)}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    return tag, ""


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _root_kind(path: Path | str, tag: str) -> Literal["ct", "cxr"]:
    if tag == CT_ROOT:
        return "ct"
    if tag == CXR_ROOT:
        return "cxr"
    raise InputError(f"{path}: no LIDC reading: the root element is {tag}")


def _session(element: etree._Element, place: str, path: Path | str, flags: list[str]) -> Session:
    marks = []
    _check_known((str(child.tag) for child in element), "session", f"{path}: {place}")
    for child in element.iterchildren(f"{LIDC}unblindedReadNodule", f"{LIDC}nonNodule"):
        if child.tag == f"{LIDC}nonNodule":
            marks.append(_non_nodule(child, place, path))
        else:
            marks.append(_nodule(child, place, path, flags))
    reader = (element.findtext(f"{LIDC}servicingRadiologistID") or "").strip()
    return Session(reader or None, tuple(marks))


def _non_nodule(element: etree._Element, place: str, path: Path | str) -> Mark:
    fields = _fields(element)
    mark_id = _text(fields, f"{LIDC}nonNoduleID")
    where = f"{path}: {place}, non-nodule {mark_id!r}"
    _check_known(fields, "non_nodule", where)
    z = _z(fields, where)
    roi = Roi(z, True, _vertices(element, f"{LIDC}locus", where), _sop(fields))
    return Mark("non_nodule", mark_id, (roi,))


def _nodule(element: etree._Element, place: str, path: Path | str, flags: list[str]) -> Mark:
    mark_id = (element.findtext(f"{LIDC}noduleID") or "").strip()
    place = f"{place}, nodule {mark_id!r}"
    _check_known((str(child.tag) for child in element), "nodule", f"{path}: {place}")
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
    _check_known(fields, "roi", where)
    inclusion = _text(fields, f"{LIDC}inclusion").upper()
    if inclusion not in ("TRUE", "FALSE"):
        raise InputError(f"{where}: inclusion is {inclusion!r}, neither TRUE nor FALSE")
    packed = [child.text or "" for child in element.iterchildren(POINTS)]
    vertices = unpacked_points(packed) or _vertices(element, f"{LIDC}edgeMap", where)
    return Roi(_z(fields, where), inclusion == "TRUE", vertices, _sop(fields))


def _check_known(tags: Iterable[str], place: str, where: str) -> None:
    unknown = set(tags) - KNOWN[place]
    if unknown:
        name = min(unknown).removeprefix(LIDC)
        raise InputError(f"{where}: an element {name}, which no LIDC file has there")


def _fields(element: etree._Element) -> dict[str, str | None]:
    """Text of the children by tag; of several with one tag the first counts."""
    return {str(child.tag): child.text for child in element.iterchildren(reversed=True)}


def _text(fields: Mapping[str, str | None], tag: str) -> str:
    return (fields.get(tag) or "").strip()


def _z(fields: Mapping[str, str | None], where: str) -> float:
    text = _text(fields, f"{LIDC}imageZposition")
    if not text:
        raise InputError(f"{where}: no imageZposition")
    try:
        return to_number(text)
    except ValueError as error:
        raise InputError(f"{where}: imageZposition {error}") from error


def _sop(fields: Mapping[str, str | None]) -> str | None:
    return _text(fields, f"{LIDC}imageSOP_UID") or None


def _vertices(element: etree._Element, tag: str, where: str) -> tuple[tuple[float, float], ...]:
    vertices = []
    try:
        for x, y in element.iterchildren(tag):
            if x.tag != X or y.tag != Y:
                raise ValueError
            vertices.append((to_number((x.text or "").strip()), to_number((y.text or "").strip())))
    except ValueError as error:
        place = f"{where}, {tag.removeprefix(LIDC)} {len(vertices) + 1}"
        raise InputError(f"{place}: not an xCoord and a yCoord that are numbers") from error
    if not vertices:
        raise InputError(f"{where}: no {tag.removeprefix(LIDC)}, so no vertices")
    return tuple(vertices)


def _characteristics(block: etree._Element, where: str) -> dict[str, int]:
    try:
        return {
            etree.QName(child).localname: to_count((child.text or "").strip()) for child in block
        }
    except ValueError as error:
        raise InputError(f"{where}: characteristics: {_one_line(error)}") from error


def _oddities(kind: MarkKind, rois: tuple[Roi, ...]) -> list[str]:
    """What is odd about the outlines of a mark, given whether it carries characteristics."""
    single = [number for number, roi in enumerate(rois, 1) if len(roi.vertices) == 1]
    if len(single) == len(rois):
        return ["characteristics on a single point"] if kind == "nodule" else []
    found = [f"ROI {number}: a stray single point" for number in single]
    if kind == "small":
        found.insert(0, "outlined without characteristics")
    return found
