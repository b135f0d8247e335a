"""Find the reading of every series in a folder of XML files."""

from pathlib import Path

from nodulenet.annotations.lidc_xml import ct_series_uid, read_lidc_xml
from nodulenet.files import InputError, walk_folders
from nodulenet.progress import track

CXR_REASON = "a chest X-ray reading"


def find_readings(folder: Path | str) -> tuple[dict[str, Path], list[tuple[Path, str]]]:
    """CT readings by series UID, and every other XML file below `folder` with the reason.

    Series are told by the header in the file, never by its name. Of several files of one series
    the first in the order of their paths is taken, and the others, which must hold the same
    sessions, are listed with the name of the one taken.

    Raises `InputError` when the folder does not exist, or when two files of one series differ in
    what was read, since no rule can say which is right.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    passed: list[tuple[Path, str]] = []
    for path in track(_xml_files(folder), "look for annotations", "files"):
        if path.name.startswith("."):
            passed.append((path, "a hidden file, perhaps of a run that was killed"))
            continue
        try:
            series_uid = ct_series_uid(path)
        except InputError as error:
            passed.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        if series_uid is None:
            passed.append((path, CXR_REASON))
        elif series_uid in found:
            _require_same(found[series_uid], path)
            passed.append((path, f"the same reading as another file: {found[series_uid]}"))
        else:
            found[series_uid] = path
    return found, passed


def _xml_files(folder: Path) -> list[Path]:
    """Every XML file below a folder by path; raises `InputError` for one that cannot be listed."""
    paths = [place / name for place, names in walk_folders(folder) for name in names]
    return sorted(path for path in paths if path.suffix.lower() == ".xml")


def _require_same(first: Path, other: Path) -> None:
    a, b = read_lidc_xml(first), read_lidc_xml(other)
    if a.sessions != b.sessions:
        raise InputError(f"{other}: its reading of {b.series_uid} differs from that in {first}")
