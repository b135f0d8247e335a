"""Masks as annotations: the same nodules as from outlines, and files that are not what they say."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import one_scan
import pytest
import SimpleITK as sitk
import tiny
from drawn import write_label_maps
from turning import stored

from nodulenet.annotations import (
    SliceGeometry,
    consensus,
    read_lidc_xml,
    read_reading,
)
from nodulenet.cohort.annotate import annotate_scan, read_annotations
from nodulenet.cohort.steps import Scan, find_nodules
from nodulenet.files import CorruptArtefact, InputError
from nodulenet.imaging import Volume, read_lidc_grid, read_volume, write_volume
from nodulenet.imaging.drawn_masks import drawn_groups
from nodulenet.imaging.volume import blank
from nodulenet.settings import ConsensusSettings, PreprocessSettings

SERIES = tiny.SERIES[0]
LEVEL_1 = ConsensusSettings(level=1)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """The tiny cohort's first scan, its outlines as label maps, and its consensus from XML."""
    folder = tmp_path_factory.mktemp("phantom")
    tiny.write_scan(folder, SERIES, 0)
    ct, xml = folder / f"{SERIES}.mhd", folder / f"{SERIES}.xml"
    grid = read_lidc_grid(ct, SERIES)
    geometry = SliceGeometry(grid.slice_z(), grid.array.shape[1:])
    groups = consensus(read_lidc_xml(xml).sessions, geometry, level=1)
    return SimpleNamespace(
        ct=ct,
        grid=grid,
        groups=groups,
        maps=write_label_maps(xml, ct, SERIES, folder),
        folder=folder,
    )


def same_groups(found, wanted) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.members == other.members
        assert one.offset == other.offset
        assert np.array_equal(one.mask, other.mask)


def groups_of(paths, grid, rules=LEVEL_1):
    """The groups of label maps on a scan's grid, and what is odd."""
    reading = read_annotations(SERIES, list(paths), "masks")
    return drawn_groups(reading, blank(grid.affine, grid.array.shape), rules)


def test_masks_of_any_orientation_are_the_same_and_nothing_is_odd(phantom, tmp_path):
    assert len(phantom.maps) > 1
    for way, suffix in (((0, 1, 2), (2,)), ".nrrd"), (((2, 0, 1), (1,)), ".nii"):
        paths = []
        for path in phantom.maps:
            paths.append(tmp_path / f"{path.name.partition('.')[0]}{suffix}")
            write_volume(stored(read_volume(path), *way), paths[-1])
        groups, notes = groups_of(paths, phantom.grid)
        same_groups(groups, phantom.groups)
        assert notes == []


def test_a_reading_of_masks_comes_back_from_its_file(phantom, tmp_path):
    annotate_scan(SERIES, phantom.maps, "masks", tmp_path / "reading.json")
    assert read_reading(tmp_path / "reading.json") == read_annotations(
        SERIES, phantom.maps, "masks"
    )


def test_damaged_bits_are_named(phantom, tmp_path):
    path = tmp_path / "reading.json"
    annotate_scan(SERIES, phantom.maps, "masks", path)
    drawing = read_reading(path).sessions[0].marks[0].drawing
    path.write_text(path.read_text().replace(drawing.bits, drawing.bits[4:]))
    with pytest.raises(CorruptArtefact, match=r"drawing: .* bytes of bits for a box of"):
        read_reading(path)


def write_map(path: Path, labels, grid) -> Path:
    write_volume(Volume(labels, grid.affine), path)
    return path


def test_a_finer_grid_is_resampled_and_said(phantom, tmp_path):
    """Every voxel halved: nearest neighbour gives the same voxels back."""
    affine = phantom.grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [0.25, 0.25, 0.25]
    affine[:3, :3] /= 2
    paths = []
    for path in phantom.maps:
        fine = read_volume(path).array.astype(np.uint8)
        for axis in range(3):
            fine = fine.repeat(2, axis)
        paths.append(tmp_path / path.name)
        write_volume(Volume(fine, affine), paths[-1])
    groups, notes = groups_of(paths, phantom.grid)
    same_groups(groups, phantom.groups)
    assert len(notes) == len(paths)
    assert all("resampled by nearest neighbour" in note for note in notes)


def test_resampling_takes_the_nearest_voxel(phantom, tmp_path):
    """A shifted and stretched grid of noise, against a look-up voxel by voxel."""
    labels = np.zeros((12, 20, 22), np.uint8)
    labels[2:-2, 2:-2, 2:-2] = np.random.default_rng(0).random((8, 16, 18)) < 0.3
    affine = phantom.grid.affine.copy()
    affine[:3, :3] *= [0.9, 1.3, 1.1]
    affine[:3, 3] += [3.3, 4.2, 5.7]
    write_volume(Volume(labels, affine), tmp_path / "noise.nii.gz")
    (group,), _ = groups_of([tmp_path / "noise.nii.gz"], phantom.grid)
    found = np.zeros(phantom.grid.array.shape, bool)
    found[group.cropped.box] = group.mask
    voxels = np.moveaxis(np.indices(found.shape), 0, -1)
    source = Volume(labels, affine).to_voxel(phantom.grid.to_world(voxels))
    inside = ((source > -0.5) & (source < np.array(labels.shape) - 0.5)).all(-1)
    at = np.rint(np.where(inside[..., None], source, 0)).astype(int)
    expected = inside & (labels[tuple(np.moveaxis(at, -1, 0))] > 0)
    assert np.array_equal(found, expected)


def test_a_mask_without_orientation_must_lie_on_the_scan(phantom, tmp_path):
    reading = read_annotations(SERIES, phantom.maps[:1], "masks")
    (session,) = reading.sessions
    stored_grid = blank(phantom.grid.affine, phantom.grid.array.shape)

    def without_orientation(shift):
        rows = phantom.grid.affine.copy()
        rows[0, 3] += shift
        marks = [
            replace(
                mark,
                drawing=replace(
                    mark.drawing, placed=False, affine=tuple(map(tuple, rows.tolist()))
                ),
            )
            for mark in session.marks
        ]
        return replace(reading, sessions=(replace(session, marks=tuple(marks)),))

    drawn_groups(without_orientation(0), stored_grid, LEVEL_1)
    with pytest.raises(InputError, match="does not say where it lies, and its grid is not"):
        drawn_groups(without_orientation(0.4), stored_grid, LEVEL_1)


def test_parts_of_a_binary_mask_are_nodules_only_if_asked(phantom, tmp_path):
    labels = np.zeros(phantom.grid.array.shape, np.uint8)
    labels[4:6, 4:8, 4:8] = labels[6, 8, 8] = 1  # a corner touches
    labels[4:6, 20:24, 20:24] = 1
    path = write_map(tmp_path / "two.nii.gz", labels, phantom.grid)
    groups, notes = groups_of([path], phantom.grid)
    assert [int(group.mask.sum()) for group in groups] == [65]
    assert "2 separate parts are one nodule" in notes[0]
    split = LEVEL_1.model_copy(update={"components": True})
    groups, notes = groups_of([path], phantom.grid, split)
    assert [int(group.mask.sum()) for group in groups] == [33, 32]
    assert "2 separate parts are nodules" in notes[0]
    labels[labels > 0] = np.where(np.nonzero(labels)[1] < 12, 1, 5)
    labels[5, 21, 21] = 0
    labels[0, 0, 0] = 1  # two parts, but the reader numbered the nodules
    groups, notes = groups_of([write_map(path, labels, phantom.grid)], phantom.grid, split)
    assert [int(group.mask.sum()) for group in groups] == [34, 31]
    assert "label 1: 2 separate parts are one nodule" in notes[0]


def test_a_part_that_vanishes_or_is_off_the_scan_is_not_lost_in_silence(phantom, tmp_path):
    split = LEVEL_1.model_copy(update={"components": True})
    fine = phantom.grid.affine.copy()
    fine[:3, :3] /= 2
    labels = np.zeros([2 * n for n in phantom.grid.array.shape], np.uint8)
    labels[8:14, 20:30, 20:30] = 1
    labels[21, 41, 41] = 1  # half-way between voxels of the CT: none is nearest
    write_volume(Volume(labels, fine), tmp_path / "fine.nii.gz")
    with pytest.raises(InputError, match=r"fine.nii.gz: label 1: vanishes between"):
        groups_of([tmp_path / "fine.nii.gz"], phantom.grid, split)
    labels = np.zeros([n + 30 for n in phantom.grid.array.shape], np.uint8)
    labels[4:6, 4:8, 4:8] = labels[-3:, 4:8, 4:8] = 1
    write_volume(Volume(labels, phantom.grid.affine), tmp_path / "wide.nii.gz")
    with pytest.raises(InputError, match=r"wide.nii.gz: label 1: lies outside the CT"):
        groups_of([tmp_path / "wide.nii.gz"], phantom.grid, split)


def test_one_file_is_not_two_readers(phantom, tmp_path):
    with pytest.raises(InputError, match="is named twice: each reader has one file"):
        read_annotations(SERIES, [phantom.maps[0], phantom.maps[0]], "masks")
    copy = tmp_path / "copy.nii.gz"
    copy.write_bytes(phantom.maps[0].read_bytes())
    (flag,) = read_annotations(SERIES, [phantom.maps[0], copy], "masks").flags
    assert flag == f"{copy}: the same masks as {phantom.maps[0]}, counted as two readers"


def test_a_mask_without_a_position_must_lie_on_the_scan(phantom, tmp_path):
    """An .mhd without Offset is put at 0 by its reader."""
    volume = read_volume(phantom.maps[0])
    write_volume(Volume(volume.array.astype(np.uint8), volume.affine), tmp_path / "a.mhd")
    header = (tmp_path / "a.mhd").read_text()
    lines = [line for line in header.splitlines() if not line.startswith("Offset")]
    (tmp_path / "a.mhd").write_text("\n".join(lines) + "\n")
    moved = phantom.grid.affine.copy()
    moved[:3, 3] = 7.3
    with pytest.raises(InputError, match="does not say where it lies"):
        groups_of([tmp_path / "a.mhd"], Volume(phantom.grid.array, moved))


def test_what_is_odd_about_masks_is_in_the_record_of_the_scan(phantom, tmp_path):
    scan = Scan(SERIES, phantom.ct, phantom.folder / f"{SERIES}_lungs.mhd")
    one_scan.prepare(tmp_path, scan, phantom.maps[:1], "masks")
    record = json.loads(one_scan.volume(tmp_path, SERIES)["record"].read_text())
    assert "1 reader, but consensus.level is 3" in "".join(record["warnings"])


def test_fewer_readers_than_votes_are_named(phantom):
    _, notes = groups_of(phantom.maps[:1], phantom.grid, ConsensusSettings(level=3))
    assert notes == ["1 reader, but consensus.level is 3: no nodule here counts"]


def test_an_empty_mask_is_a_scan_without_nodules(phantom, tmp_path, caplog):
    path = write_map(
        tmp_path / "none.nii.gz", np.zeros(phantom.grid.array.shape, np.uint8), phantom.grid
    )
    with caplog.at_level(logging.WARNING):
        annotate_scan(SERIES, [path], "masks", tmp_path / "reading.json")
    assert "no nodule is drawn" in caplog.text
    reading = read_reading(tmp_path / "reading.json")
    groups, table, *_ = find_nodules(
        Scan(SERIES, phantom.ct), reading, LEVEL_1, PreprocessSettings()
    )
    assert groups == []
    assert table.empty


def test_masks_off_the_scan_are_refused(phantom, tmp_path):
    labels = np.zeros(phantom.grid.array.shape, np.uint8)
    labels[2, 2, :4] = 7
    for shift, fault in ((-100, "label 7: lies outside the CT: at x"), (-2, None)):
        affine = phantom.grid.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [0, 0, shift]
        write_volume(Volume(labels, affine), tmp_path / "far.nii.gz")
        if fault:
            with pytest.raises(InputError, match=fault):
                groups_of([tmp_path / "far.nii.gz"], phantom.grid)
        else:
            groups, notes = groups_of([tmp_path / "far.nii.gz"], phantom.grid)
            assert groups[0].mask.sum() == 2
            assert "2 of its voxels lie outside the CT" in "".join(notes)
    coarse = phantom.grid.affine.copy()
    coarse[:3, :3] /= 20
    coarse[:3, 3] += phantom.grid.affine[:3, :3] @ [0.5, 0.5, 0.4]
    write_volume(Volume(labels, coarse), tmp_path / "dust.nii.gz")
    with pytest.raises(InputError, match="vanishes between the voxels"):
        groups_of([tmp_path / "dust.nii.gz"], phantom.grid)


def test_what_is_no_mask_is_refused(phantom, tmp_path):
    shape = phantom.grid.array.shape
    half = np.zeros(shape, np.float32)
    half[1, 1, 1] = 0.5
    minus = np.zeros(shape, np.int16)
    minus[1, 1, 1] = -1
    rows = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)
    for array, fault in (
        (half, "holds 0.5, but labels are whole numbers"),
        (minus, "holds -1, but labels"),
        (rows, f"holds {rows.size - 1} labels, more than 1000"),
        (half.astype(np.uint32) + (rows == 9) * np.uint32(1 << 24), "holds 1.67772e"),
    ):
        path = write_map(tmp_path / "bad.nrrd", array, phantom.grid)
        with pytest.raises(InputError, match=rf"bad.nrrd: {fault}"):
            read_annotations(SERIES, [path], "masks")
    image = sitk.ReadImage(str(phantom.maps[0]))
    sitk.WriteImage(sitk.Compose(image, image), str(tmp_path / "layers.seg.nrrd"))
    with pytest.raises(InputError, match="2 numbers per voxel, not 1: export one label map"):
        read_annotations(SERIES, [tmp_path / "layers.seg.nrrd"], "masks")
    volume = read_volume(phantom.maps[0])
    write_volume(volume, tmp_path / "other.mha", series_uid="1.2.3")
    with pytest.raises(InputError, match=r"its header names series 1.2.3"):
        read_annotations(SERIES, [tmp_path / "other.mha"], "masks")
    with pytest.raises(InputError, match=r"gone.nii: is not a file"):
        read_annotations(SERIES, [tmp_path / "gone.nii"], "masks")
    (tmp_path / "note.txt").write_text("a note")
    with pytest.raises(InputError, match=r"note.txt: neither a DICOM file nor an image"):
        read_annotations(SERIES, [tmp_path / "note.txt"], "masks")


def test_70000_labels_are_no_nodules(phantom, tmp_path):
    """More labels than 16 bits can number, as a mask of superpixels has."""
    labels = np.zeros((44, 40, 40), np.uint32)
    labels.flat[:70_000] = np.arange(1, 70_001)
    path = write_map(tmp_path / "many.mha", labels, phantom.grid)
    with pytest.raises(InputError) as error:
        read_annotations(SERIES, [path], "masks")
    fault = "holds 70000 labels, more than 1000: not a mask of nodules"
    assert str(error.value) == f"{path}: {fault}"


@pytest.mark.parametrize(
    ("name", "compress", "fault"),
    [
        ("a.nii", False, "bytes of data, its header says "),
        ("a.nii.gz", True, "its compressed data is cut short or corrupt"),
        ("a.nrrd", False, "cannot be read: "),
        ("a.nrrd", True, "its compressed data is cut short or corrupt"),
        ("a.mha", False, "holds 70000 bytes of data, its header says 70400"),
        ("a.mha", True, "its compressed data is cut short or corrupt"),
        ("a.mhd", False, "a.raw: holds 70000 bytes of data, its header says 70400"),
        ("a.mhd", True, "a.zraw: its compressed data is cut short or corrupt"),
    ],
)
def test_a_mask_that_is_cut_short_is_named(phantom, tmp_path, name, compress, fault):
    labels = np.random.default_rng(0).integers(0, 9, (44, 40, 40)).astype(np.uint8)
    path = tmp_path / name
    write_volume(Volume(labels, phantom.grid.affine), path, compress=compress)
    (data,) = [other for other in tmp_path.iterdir() if other != path] or [path]
    data.write_bytes(data.read_bytes()[:-400])
    with pytest.raises(InputError) as error:
        read_annotations(SERIES, [path], "masks")
    assert str(error.value).startswith(f"{tmp_path}/a.")
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_the_kind_of_a_mixed_row_is_told_by_its_file(phantom, tmp_path):
    xml, table = phantom.folder / f"{SERIES}.xml", tmp_path / "nodules.csv"
    table.write_text(tiny.draw_table())
    assert read_annotations(SERIES, [xml], "mixed").sessions[0].marks[0].rois
    assert read_annotations(SERIES, [table], "mixed").listed
    assert read_annotations(SERIES, phantom.maps, "mixed").sessions[0].marks[0].drawing
    assert read_annotations(SERIES, [], "mixed").flags == ("no annotations",)
    with pytest.raises(InputError, match="only masks are several files"):
        read_annotations(SERIES, [xml, table], "mixed")
