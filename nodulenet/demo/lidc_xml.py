"""Write readings as LIDC XML, so that the demo is read like the real corpus."""

from pathlib import Path

from lxml import etree

from nodulenet.annotations.records import Mark, Reading, Roi, Session
from nodulenet.files import replacing

NAMESPACE = "http://www.nih.gov"


def write_lidc_xml(reading: Reading, study_uid: str, path: Path | str) -> None:
    """Write a reading as a `LidcReadMessage`, one readingSession per session, in order."""
    names: dict = {None: NAMESPACE}
    root = etree.Element(f"{{{NAMESPACE}}}LidcReadMessage", nsmap=names)
    header = _child(root, "ResponseHeader")
    _child(header, "Version", "1.8.1")
    _child(header, "RequestingSite", "nodulenet demo: synthetic images")
    _child(header, "TaskDescription", "Second unblinded read")
    _child(header, "SeriesInstanceUid", reading.series_uid)
    _child(header, "StudyInstanceUID", study_uid)
    for session in reading.sessions:
        _add_session(root, session)
    with replacing(path) as temporary:
        etree.ElementTree(root).write(
            str(temporary), encoding="UTF-8", xml_declaration=True, pretty_print=True
        )


def _child(parent: etree._Element, name: str, text: object = None) -> etree._Element:
    element = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    if text is not None:
        element.text = str(text)
    return element


def _add_session(root: etree._Element, session: Session) -> None:
    element = _child(root, "readingSession")
    _child(element, "annotationVersion", "3.12")
    _child(element, "servicingRadiologistID", session.reader or "anonymous")
    for mark in session.marks:
        if mark.kind == "non_nodule":
            _add_non_nodule(element, mark)
        else:
            _add_nodule(element, mark)


def _add_nodule(session: etree._Element, mark: Mark) -> None:
    element = _child(session, "unblindedReadNodule")
    _child(element, "noduleID", mark.mark_id)
    if mark.kind == "nodule":
        block = _child(element, "characteristics")
        for name, value in mark.characteristics.items():
            _child(block, name, value)
    for roi in mark.rois:
        outline = _child(element, "roi")
        _add_slice(outline, roi)
        _child(outline, "inclusion", "TRUE" if roi.inclusion else "FALSE")
        _add_points(outline, "edgeMap", roi)


def _add_non_nodule(session: etree._Element, mark: Mark) -> None:
    (roi,) = mark.rois
    element = _child(session, "nonNodule")
    _child(element, "nonNoduleID", mark.mark_id)
    _add_slice(element, roi)
    _add_points(element, "locus", roi)


def _add_slice(parent: etree._Element, roi: Roi) -> None:
    _child(parent, "imageZposition", repr(float(roi.z)))
    _child(parent, "imageSOP_UID", roi.sop_uid)


def _add_points(parent: etree._Element, name: str, roi: Roi) -> None:
    for x, y in roi.vertices:
        point = _child(parent, name)
        _child(point, "xCoord", f"{x:g}")
        _child(point, "yCoord", f"{y:g}")
