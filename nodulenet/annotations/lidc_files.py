"""The LIDC XML files of a folder: which series each one reads, from its head alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from lxml import etree

from nodulenet.annotations.lidc_xml import (
    CT_ROOT,
    DOCTYPE,
    LIDC,
    NO_DTD,
    not_well_formed,
    read_lidc_xml,
    series_of,
)
from nodulenet.files import InputError, opening, walk_folders
from nodulenet.progress import track

CXR_REASON = "a chest X-ray reading"
HEAD_BYTES = 4096


def find_readings(folder: Path | str) -> tuple[dict[str, Path], list[tuple[Path, str]]]:
    """CT readings by series UID, and every other XML file below `folder` with the reason.

    The series is that in the header of the file, whatever its name. Of several files of one series
    the first in the order of their paths is used; the others, which must contain the same sessions,
    are listed with the name of the one used.

    Raises `InputError` if the folder does not exist, or if two files of one series differ, since no
    rule can tell which is right.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    skipped: list[tuple[Path, str]] = []
    for path in track(_xml_files(folder), "look for annotations", "files"):
        if path.name.startswith("."):
            skipped.append((path, "a hidden file, perhaps left by an interrupted run"))
            continue
        try:
            series_uid = ct_series_uid(path)
        except InputError as error:
            skipped.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        if series_uid is None:
            skipped.append((path, CXR_REASON))
        elif series_uid in found:
            _require_same(found[series_uid], path)
            skipped.append((path, f"the same reading as another file: {found[series_uid]}"))
        else:
            found[series_uid] = path
    return found, skipped


def _xml_files(folder: Path) -> list[Path]:
    """Every XML file below a folder by path; raises `InputError` if one cannot be listed."""
    paths = [place / name for place, names in walk_folders(folder) for name in names]
    return sorted(path for path in paths if path.suffix.lower() == ".xml")


def _require_same(first: Path, other: Path) -> None:
    a, b = read_lidc_xml(first), read_lidc_xml(other)
    if a.sessions != b.sessions:
        raise InputError(f"{other}: its reading of {b.series_uid} differs from that in {first}")


def ct_series_uid(path: Path | str) -> str | None:
    """Series instance UID from the head of a CT reading, None for a chest X-ray reading.

    Raises `InputError` if the file is neither, is not XML, or its header names no series.
    """
    tag = ""
    parser = etree.XMLPullParser(
        events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False
    )
    try:
        with opening(path), Path(path).open("rb") as file:
            while chunk := file.read(HEAD_BYTES):
                if DOCTYPE in chunk:
                    raise InputError(f"{path}: {NO_DTD}")
                parser.feed(chunk)
                events = cast(Iterator[tuple[str, etree._Element]], parser.read_events())
                for event, element in events:
                    tag = tag or str(element.tag)
                    if tag != CT_ROOT or (event, element.tag) == ("end", f"{LIDC}ResponseHeader"):
                        return series_of(path, tag, element.findtext(f"{LIDC}SeriesInstanceUid"))
        parser.close()
    except etree.XMLSyntaxError as error:
        raise not_well_formed(path, error) from error
    return series_of(path, tag, None)
