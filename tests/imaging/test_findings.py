"""The table of findings and its files."""

import numpy as np
import pytest

from nodulenet.annotations import Group, Mark, Reading, Roi, Session
from nodulenet.files import InputError
from nodulenet.imaging import (
    blank,
    findings_table,
    read_nodules,
    read_readers,
    write_nodules,
)
from nodulenet.masks import CroppedMask
from nodulenet.settings import PreprocessSettings

AFFINE = np.array([[0, 0, 0.5, 10], [0, 0.5, 0, 20], [2, 0, 0, -30], [0, 0, 0, 1]], float)
SHAPE = (20, 60, 60)


def group(members, mask, offset):
    return Group(members, mask, offset, (CroppedMask(mask, offset),) * len(members))


def point(kind, x, y, z):
    return Mark(kind, "m", (Roi(z, True, ((x, y),)),))


@pytest.fixture
def reading():
    marks = (point("non_nodule", 4, 6, -26), point("small", 10, 20, -10))
    return Reading("1.2.3", (Session("a", marks), Session("b", (marks[1],))), "file", "0")


@pytest.fixture
def groups():
    block = np.ones((3, 12, 8), bool)
    other = np.random.default_rng(0).random((2, 5, 5)) > 0.3
    other[0, 0, 0] = other[-1, -1, -1] = True
    return [
        group(((0, 0),), other, (1, 2, 3)),
        group(((0, 1), (1, 0), (2, 0)), block, (4, 10, 20)),
        group(((0, 2), (0, 3), (1, 1), (2, 2), (3, 0)), block, (12, 30, 30)),
    ]


def table_of(reading, groups, level=3, **options):
    settings = PreprocessSettings(**options)
    return findings_table(reading, groups, blank(AFFINE, SHAPE), level, settings)


def test_rows_by_hand(reading, groups):
    table = table_of(reading, groups)
    assert table.kind.tolist() == ["below_level", "nodule", "nodule"] + ["small"] * 2 + [
        "non_nodule"
    ]
    assert table.finding.tolist() == [1, 2, 3, 4, 5, 6]
    assert table.label.tolist() == [0, 1, 2, 0, 0, 0]
    assert table.level.tolist() == [1, 3, 4, 0, 0, 0]
    assert table.readers.tolist() == [1, 3, 4, 1, 1, 1]
    assert table.marks.tolist() == [1, 3, 5, 1, 1, 1]
    row = table.iloc[1]
    # slices 4-6 at -22, -20, -18 mm; y 10-21 = 25-30.5 mm; x 20-27 = 20-23.5 mm
    assert row[["centroidX", "centroidY", "centroidZ"]].tolist() == [21.75, 27.75, -20]
    # in the 1 mm grid (whole mm): z -23..-17 (half height at +-1 mm), y 25..30, x 20..23
    assert row[["coordX", "coordY", "coordZ"]].tolist() == [21.5, 27.5, -20]
    assert row.diameter_mm == 7
    assert row.volume_mm3 == 3 * 12 * 8 * 0.5
    assert row.equivalent_diameter_mm == pytest.approx((6 * 144 / np.pi) ** (1 / 3))
    assert row[["z", "y", "x", "d", "h", "w"]].tolist() == [4, 10, 20, 3, 12, 8]


def test_points(reading, groups):
    table = table_of(reading, groups)
    small = table[table.kind == "small"].iloc[0]
    assert small[["coordX", "coordY", "coordZ"]].tolist() == [15, 30, -10]
    assert small[["z", "y", "x", "d", "h", "w"]].tolist() == [10, 20, 10, 0, 0, 0]
    assert small.diameter_mm == small.equivalent_diameter_mm == -1
    assert small.volume_mm3 == 0


def test_grid_of_the_scan_itself(reading, groups):
    row = table_of(reading, groups, resample=False).iloc[1]
    assert row.diameter_mm == 6
    assert row[["coordX", "coordY", "coordZ"]].tolist() == [21.75, 27.75, -20]


def test_a_mask_that_vanishes_keeps_its_own_box(reading):
    speck = [group(((0, 0),), np.ones((1, 1, 1), bool), (1, 3, 3))]
    row = table_of(reading, speck, level=1).iloc[0]
    assert row[["coordX", "coordY", "coordZ"]].tolist() == [11.5, 21.5, -28]
    assert row.diameter_mm == 2


def test_no_finding(tmp_path):
    empty = findings_table(Reading("1.2.3", (), "", ""), [], blank(AFFINE), 3)
    assert len(empty) == 0
    write_nodules(tmp_path / "n.npz", tmp_path / "n.csv", [], empty)
    nodules, table = read_nodules(tmp_path / "n.npz", tmp_path / "n.csv")
    assert nodules == []
    assert table.columns.tolist() == empty.columns.tolist()


def test_round_trip(tmp_path, reading, groups):
    table = table_of(reading, groups)
    write_nodules(tmp_path / "n.npz", tmp_path / "n.csv", groups, table)
    nodules, again = read_nodules(tmp_path / "n.npz", tmp_path / "n.csv")
    assert [label for label, _ in nodules] == [0, 1, 2]
    for (_, (mask, offset)), group in zip(nodules, groups, strict=True):
        assert np.array_equal(mask, group.mask)
        assert offset == group.offset
    assert again.kind.tolist() == table.kind.tolist()
    numbers = table.select_dtypes("number").columns
    assert np.allclose(again[numbers], table[numbers], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.csv", "n.npz"]


def test_each_reader_s_marks_of_a_group_are_one_mask(tmp_path, reading):
    tall, wide = np.ones((3, 1, 1), bool), np.ones((1, 1, 4), bool)
    places = ((tall, (5, 6, 7)), (wide, (5, 6, 5)), (wide, (8, 6, 7)))
    outlines = tuple(CroppedMask(*place) for place in places)
    members = ((2, 0), (0, 1), (2, 3))
    union = np.zeros((4, 1, 6), bool)
    union[:3, 0, 2] = union[0, 0, :4] = union[3, 0, 2:] = True
    without = Group(((0, 0),), tall, (1, 1, 1), ())
    groups = [
        without,
        Group(members, union, (5, 6, 5), outlines),
        group(((1, 0),), tall, (0, 0, 0)),
    ]
    write_nodules(tmp_path / "n.npz", tmp_path / "n.csv", groups, table_of(reading, groups))
    first, second, third = read_readers(tmp_path / "n.npz")
    assert [(r.group, r.session) for r in (first, second, third)] == [(1, 0), (1, 2), (2, 1)]
    assert np.array_equal(first.mask.mask, wide)
    assert first.mask.offset == (5, 6, 5)
    both = np.zeros((4, 1, 4), bool)
    both[:3, 0, 0] = both[3] = True
    assert np.array_equal(second.mask.mask, both)
    assert second.mask.offset == (5, 6, 7)
    assert np.array_equal(third.mask.mask, tall)


def test_readers_masks_that_do_not_fit_together(tmp_path, reading, groups):
    masks = tmp_path / "n.npz"
    write_nodules(masks, tmp_path / "n.csv", groups, table_of(reading, groups))
    with np.load(masks) as held:
        arrays = dict(held)
    np.savez(masks, **(arrays | {"reader_groups": arrays["reader_groups"][:-1]}))
    with pytest.raises(InputError, match=r"n\.npz: damaged or cut short"):
        read_readers(masks)
    del arrays["reader_bits"]
    np.savez(masks, **arrays)
    with pytest.raises(InputError, match=r"n\.npz: damaged or cut short"):
        read_readers(masks)


def test_broken_files(tmp_path, reading, groups):
    masks, csv = tmp_path / "n.npz", tmp_path / "n.csv"
    write_nodules(masks, csv, groups, table_of(reading, groups))
    text, raw = csv.read_text(), masks.read_bytes()
    masks.write_bytes(raw[:-30])
    with pytest.raises(InputError, match=r"n\.npz: damaged or cut short"):
        read_nodules(masks, csv)
    masks.write_bytes(raw)
    csv.write_text("".join(line for line in text.splitlines(True) if "below" not in line))
    with pytest.raises(InputError, match=r"n\.npz: holds 3 masks, .*n\.csv lists 2"):
        read_nodules(masks, csv)
    csv.write_text(text.replace("diameter_mm", "size", 1))
    with pytest.raises(InputError, match=r"n\.csv: no column diameter_mm"):
        read_nodules(masks, csv)
    csv.write_text("")
    with pytest.raises(InputError, match=r"n\.csv: damaged"):
        read_nodules(masks, csv)
    csv.write_text(text)
    masks.unlink()
    with pytest.raises(InputError, match=r"n\.npz: No such file"):
        read_nodules(masks, csv)
