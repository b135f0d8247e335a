"""The steps that make the artefacts of one scan after its annotations: nodules, volume.

Both first turn the scan to standard orientation (z up, y back, x left), and all that they write is
of the turned scan; its record alone says how the file stores it. For faults see `annotate`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet import __version__
from nodulenet.annotations import (
    Group,
    Reading,
    consensus,
    count_levels,
    points_off_scan,
    read_reading,
)
from nodulenet.cohort.annotate import leave_out, require_ok
from nodulenet.files import InputError, naming, read_json, write_json
from nodulenet.imaging import (
    Volume,
    blank,
    check_hu,
    crop_offset,
    cut_listed,
    drawn_groups,
    findings_table,
    is_drawn,
    label_volume,
    lidc_grid,
    listed_findings,
    listed_groups,
    misfit,
    preprocess,
    read_geometry,
    read_nodules,
    read_readers,
    read_scanner,
    read_volume,
    require_same_frame,
    segment_lungs,
    standard,
    target_grid,
    to_standard_grid,
    unsized_labels,
    write_nodules,
    write_scan,
)
from nodulenet.imaging.lungs import LUNG_LABELS
from nodulenet.imaging.store import array_digest, scan_digest
from nodulenet.settings import ConsensusSettings, OnBadScan, PreprocessSettings

LIBRARIES = ("numpy", "scipy", "SimpleITK", "pydicom")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """A scan of the table: its files, and what to do where they have a fault."""

    series_uid: str
    ct: Path
    lung_mask: Path | None = None
    on_bad_scan: OnBadScan = "fail"


class Nodules(NamedTuple):
    """All groups of a scan, its findings, the number of groups at each level or above, and what is
    doubtful about the annotations, one line each.
    """

    groups: list[Group]
    findings: pd.DataFrame
    levels: tuple[int, int, int, int]
    warnings: tuple[str, ...] = ()


def consensus_scan(
    scan: Scan,
    reading: Path,
    rules: ConsensusSettings,
    preprocessing: PreprocessSettings,
    outputs: Mapping[str, Path],
) -> None:
    """Write one scan's findings: `outputs` names nodules (npz), findings (csv), record (json).

    preprocessing: says which 1 mm grid the findings are measured in. Raises `InputError`.
    """
    try:
        require_ok(reading)
        found = find_nodules(scan, read_reading(reading), rules, preprocessing)
        status = "ok"
    except InputError as error:
        status = leave_out(scan.series_uid, error, scan.on_bad_scan)
        table = findings_table(Reading(scan.series_uid, (), "", ""), [], blank(np.eye(4)), level=1)
        found = Nodules([], table, (0, 0, 0, 0))
    for line in found.warnings:
        log.warning("scan %s: %s", scan.series_uid, line)
    write_nodules(outputs["nodules"], outputs["findings"], found.groups, found.findings)
    counts = {"levels": list(found.levels), "warnings": list(found.warnings)}
    write_json(outputs["record"], {"series_uid": scan.series_uid, "status": status, **counts})


def find_nodules(
    scan: Scan, reading: Reading, rules: ConsensusSettings, preprocessing: PreprocessSettings
) -> Nodules:
    """What the readers found in a scan.

    Outlines are filled where they were drawn, in the pixels of the DICOM images, and turned with
    the scan. Of the CT only the headers are read; what is wrong with its voxels shows in `prepare`.

    Three grids without voxels: `stored`, of the CT's file; `pixels`, that readers drew on; `place`,
    of the scan in standard orientation, in which groups and findings are given.
    """
    stored = blank(*read_geometry(scan.ct, scan.series_uid))
    if reading.listed:
        return find_listed(reading, standard(stored)[0], preprocessing)
    if is_drawn(reading):
        require_same_frame(reading, scan.ct)
        return find_drawn(reading, stored, rules, preprocessing)
    marked = any(session.marks for session in reading.sessions)
    pixels = lidc_grid(scan.ct, stored, scan.series_uid) if marked else standard(stored)[0]
    geometry = pixels.slice_geometry()
    with naming(reading.source or "annotations"):
        # Groups below the level too: they are findings that count neither way.
        groups = consensus(reading.sessions, geometry, **{**rules.plain(), "level": 1})
    notes = tuple(note for group in groups for note in group.notes)
    for line in notes + points_off_scan(reading.sessions, geometry):
        log.warning("scan %s: %s", scan.series_uid, line)
    reading, groups, place = to_standard_grid(reading, groups, pixels)
    table = findings_table(reading, groups, place, rules.level, preprocessing)
    return Nodules(groups, table, count_levels(groups))


def find_listed(reading: Reading, place: Volume, preprocessing: PreprocessSettings) -> Nodules:
    """What `find_nodules` gives, for a reading of positions and sizes: boxes."""
    with naming(reading.source):
        groups = listed_groups(reading.listed, place)
    for line in cut_listed(reading.listed, place):
        log.warning("scan %s: %s: %s", reading.series_uid, reading.source, line)
    table = findings_table(reading, groups, place, 1, preprocessing)
    count = len(groups)
    table = listed_findings(table, groups, reading.listed)
    return Nodules(groups, table, (count, count, count, count))


def find_drawn(
    reading: Reading, stored: Volume, rules: ConsensusSettings, preprocessing: PreprocessSettings
) -> Nodules:
    """What `find_nodules` gives, for a reading of masks. stored: the grid of the CT's file."""
    groups, odd = drawn_groups(reading, stored, rules)
    table = findings_table(reading, groups, standard(stored)[0], rules.level, preprocessing)
    return Nodules(groups, table, count_levels(groups), tuple(odd))


def preprocess_scan(
    scan: Scan,
    nodules: Mapping[str, Path],
    settings: PreprocessSettings,
    outputs: Mapping[str, Path],
) -> None:
    """Write one scan's 1 mm volume: `outputs` names volume, mask (npy) and record (json).

    nodules: what `consensus_scan` wrote, under the same names. Raises `InputError`.
    """
    try:
        require_ok(nodules["record"])
        volume, labels, record = prepare(scan, nodules, settings)
    except InputError as error:
        labels = np.zeros((0, 0, 0), np.uint8)
        volume = Volume(labels, np.eye(4))
        status = leave_out(scan.series_uid, error, scan.on_bad_scan)
        record = {"series_uid": scan.series_uid, "status": status}
    write_scan(outputs, volume, labels, record)


def prepare(
    scan: Scan, nodules: Mapping[str, Path], settings: PreprocessSettings
) -> tuple[Volume, NDArray, dict[str, Any]]:
    """The 1 mm volume of the turned scan, its labels, and the record of how they came about."""
    stored = read_volume(scan.ct, scan.series_uid)
    turned, _ = standard(stored)
    lungs, warning = find_lungs(scan, turned)
    volume = preprocess(turned, lungs, settings)
    grid_affine, _ = target_grid(turned.affine, turned.array.shape, settings)
    masks, findings = read_nodules(nodules["nodules"], nodules["findings"])
    labels, painted = label_volume(masks, turned.affine, volume.affine, volume.array.shape)
    outlined = bool(read_readers(nodules["nodules"]))
    doubts = (*stored.notes, warning, misfit(turned, masks) if outlined else "")
    warnings = [line for line in doubts if line]
    on_annotations = read_json(nodules["record"]).get("warnings", [])  # the step before logged them
    lost = [f"nodule {label}: {p['lost']}" for label, p in painted.items() if p["lost"]]
    for line in warnings[len(stored.notes) :] + lost:  # the reader has logged its notes
        log.warning("scan %s: %s", scan.series_uid, line)
    record = {
        "series_uid": scan.series_uid,
        "status": "ok",
        "warnings": warnings + on_annotations,
        "outlined": outlined or not masks,
        "nodules": {str(label): dict(voxels) for label, voxels in painted.items()},
        "unsized": unsized_labels(findings),
        "digest": scan_digest(volume, labels, [nodules["findings"], nodules["nodules"]]),
        "volume_digest": array_digest(volume.array),
        "source": str(scan.ct),
        "lung_mask": None if scan.lung_mask is None else str(scan.lung_mask),
        "source_shape": list(turned.array.shape),
        "source_spacing": turned.spacing.tolist(),
        "source_affine": turned.affine.tolist(),
        "stored_shape": list(stored.array.shape),
        "stored_affine": stored.affine.tolist(),
        "scanner": read_scanner(scan.ct, scan.series_uid),
        "crop_offset": list(crop_offset(volume.affine, grid_affine)),
        "preprocess": settings.plain(),
        "versions": {"nodulenet": __version__} | {name: version(name) for name in LIBRARIES},
    }
    return volume, labels, record


def find_lungs(scan: Scan, turned: Volume) -> tuple[NDArray[np.uint8], str]:
    """The lungs of a turned scan, read or segmented, and a warning where its voxels may not be HU.

    Raises `InputError` naming the file: no lungs, a mask without any or of another grid, no HU.
    """
    lungs = read_lungs(scan.lung_mask, turned) if scan.lung_mask else None
    with naming(scan.ct):
        lungs = segment_lungs(turned) if lungs is None else lungs
        return lungs, check_hu(turned, lungs)


def read_lungs(path: Path, scan: Volume) -> NDArray[np.uint8]:
    """A lung mask, turned, that lies on the grid of its turned scan and holds a lung.

    Raises `InputError` naming the mask if it does not.
    """
    mask, _ = standard(read_volume(path))
    if mask.array.shape != scan.array.shape or not np.allclose(mask.affine, scan.affine, atol=1e-2):
        raise InputError(f"{path}: the lung mask is not on the grid of its CT")
    if not np.isin(mask.array, LUNG_LABELS).any():
        raise InputError(f"{path}: lung mask without a voxel of the labels {LUNG_LABELS}")
    return mask.array.astype(np.uint8)
