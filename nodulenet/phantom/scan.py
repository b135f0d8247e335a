"""A synthetic scan with nodules of many patients, determined by its series UID."""

import zlib
from collections.abc import Sequence

import numpy as np

from nodulenet.annotations.records import Mark, Reading, Session
from nodulenet.phantom.donors import donor_series
from nodulenet.phantom.files import ScanFiles, slice_uid, write_files
from nodulenet.phantom.outlines import READERS, outlined_marks
from nodulenet.phantom.parameters import draw_parameters
from nodulenet.phantom.scene import Scene, plan_free


def render_scan(
    series_uid: str, files: ScanFiles, *, held_out: bool, without: Sequence[str] = ()
) -> None:
    """Render a scan and write its three files.

    held_out: with nodules of the patients kept for testing; without: patients not to be used.
    """
    seed = seed_of(series_uid)
    scene = plan_free(draw_parameters(seed, "pretrain"), donor_series(held_out, without), seed)
    z = scene.grid.z.astype(np.float64)
    write_files(scene, reading_of(scene, series_uid), z, seed, files)


def seed_of(series_uid: str) -> int:
    """The seed of everything that is drawn for a scan."""
    return zlib.crc32(series_uid.encode())


def reading_of(scene: Scene, series_uid: str) -> Reading:
    """Four readers' outlines of every nodule of a scene."""
    place = (scene.grid.z.astype(np.float64), lambda index: slice_uid(series_uid, index))
    sessions: list[list[Mark]] = [[] for _ in range(READERS)]
    for number, nodule in enumerate(scene.nodules, 1):
        name = f"{nodule.shape.patient_id}-{number}"
        marks = outlined_marks(nodule, name, scene.chest, place)
        for session, mark in zip(sessions, marks, strict=True):
            session.append(mark)
    named = (Session(f"reader-{n}", tuple(marks)) for n, marks in enumerate(sessions, 1))
    return Reading(series_uid, tuple(named), "synthetic", "", ())
