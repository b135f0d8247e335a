"""One synthetic scan with nodules of its own: its voxels, its lungs and its readers agree."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from nodulenet.annotations import Group, SliceGeometry, consensus, read_lidc_xml
from nodulenet.imaging import read_volume
from nodulenet.phantom.acquisition import slice_weights
from nodulenet.phantom.donors import donor_series
from nodulenet.phantom.files import ScanFiles, derived_uid, write_files
from nodulenet.phantom.grid import make_grid
from nodulenet.phantom.nodules import Nodule, paint_nodule, positions
from nodulenet.phantom.parameters import Parameters, draw_parameters
from nodulenet.phantom.scan import reading_of, seed_of
from nodulenet.phantom.scene import Scene, finer, plan_free

SEED = 3


def small() -> Parameters:
    """A thin part of a chest with few nodules, so that it renders fast."""
    return replace(
        draw_parameters(SEED, "pretrain"), extent=36.0, thickness=2.5, overlap=1.0, pixel=0.85,
        noise=15.0, nodules=4.0, half_width=110.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Written:
    scene: Scene
    files: ScanFiles


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(tmp_path_factory.mktemp("scan"))


def write(folder: Path) -> Written:
    scene = plan_free(small(), donor_series(held_out=True), SEED)
    files = ScanFiles(folder / "ct.mhd", folder / "reading.xml", folder / "lungs.mhd")
    write_files(scene, reading_of(scene, "1.2.3"), scene.grid.z, SEED, files)
    return Written(scene, files)


def groups(written: Written) -> list[Group]:
    geometry = SliceGeometry(written.scene.grid.z, written.scene.grid.shape[1:])
    return consensus(read_lidc_xml(written.files.annotations).sessions, geometry, level=1)


def test_the_readers_outline_every_nodule_where_it_lies(written: Written) -> None:
    found = groups(written)
    assert len(found) == len(written.scene.nodules) > 1
    for group, nodule in zip(found, written.scene.nodules, strict=True):
        assert group.level == 4
        middle = np.array(group.offset) + (np.array(group.mask.shape) - 1) / 2
        where = written.scene.grid.position(middle)
        assert np.abs(where - nodule.centre).max() < 2.5 + 0.6 * nodule.radius


def test_outlines_lie_in_the_lungs_and_their_voxels_are_dense(written: Written) -> None:
    ct, lungs = read_volume(written.files.ct), read_volume(written.files.lung_mask)
    assert set(np.unique(lungs.array)) == {0, 3, 4}
    near = ndimage.binary_dilation(lungs.array > 0, iterations=2)
    for group, nodule in zip(groups(written), written.scene.nodules, strict=True):
        box = tuple(slice(o, o + n) for o, n in zip(group.offset, group.mask.shape, strict=True))
        assert near[box][group.mask].all()
        if nodule.look.kind == "solid" and not np.isfinite(nodule.look.cavity):
            assert np.percentile(ct.array[box][group.mask], 90) > -450


def test_the_median_of_the_lungs_is_that_of_the_parameters(written: Written) -> None:
    ct, lungs = read_volume(written.files.ct), read_volume(written.files.lung_mask)
    drawn = written.scene.chest.drawn
    middle = np.median(ct.array[lungs.array > 0])
    assert middle == pytest.approx(drawn.lung_hu + drawn.offset, abs=25)


def test_the_marks_name_the_patients_of_the_nodules(written: Written) -> None:
    names = {nodule.shape.patient_id for nodule in written.scene.nodules}
    reading = read_lidc_xml(written.files.annotations)
    marked = {
        mark.mark_id.rsplit("-", 1)[0]
        for session in reading.sessions
        for mark in session.marks
        if mark.kind == "nodule"
    }
    assert marked == names


def test_the_same_seed_gives_the_same_files(written: Written, tmp_path: Path) -> None:
    again = write(tmp_path)
    for name in ("ct", "lung_mask"):
        one, two = (read_volume(getattr(each.files, name)) for each in (written, again))
        assert np.array_equal(one.array, two.array)
        assert np.array_equal(one.affine, two.affine)
    assert Path(written.files.annotations).read_bytes() == (tmp_path / "reading.xml").read_bytes()


def test_seeds_and_uids_depend_on_every_part() -> None:
    assert seed_of("1.2.3") == seed_of("1.2.3") != seed_of("1.2.4")
    uids = {derived_uid("a", 1), derived_uid("a", 2), derived_uid("b", 1)}
    assert len(uids) == 3
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


@pytest.mark.parametrize("thickness", [0.6, 1.25, 5.0])
def test_a_slice_is_a_mean_of_planes_as_thick_as_the_slice(thickness: float) -> None:
    slices = make_grid((thickness * 0.8, 1, 1), (8, 2, 2))
    fine = finer(slices, 1.0)
    assert fine.spacing[0] <= 1
    weights = slice_weights(fine, slices, thickness)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert (weights @ fine.z)[3:5] == pytest.approx(slices.z[3:5], abs=1e-3)
    if thickness > 1:
        width = (weights[4] > weights[4].max() / 2).sum() * fine.spacing[0]
        assert width == pytest.approx(thickness, abs=fine.spacing[0])


def texture(nodule: Nodule, **changes: object) -> np.ndarray:
    """HU within a nodule of the given look, 1.5 mm and more below its surface."""
    grid = make_grid((0.8, 0.8, 0.8), (60, 60, 60))
    volume = np.full(grid.shape, -850, np.float32)
    usual = {"cavity": np.inf, "calcification": "none", "core": 2.0}
    look = replace(nodule.look, **usual | changes)  # type: ignore[arg-type]
    moved = replace(nodule, centre=np.zeros(3), look=look)
    paint_nodule(volume, grid, moved, -850)
    where = positions(grid, (slice(None), slice(None), slice(None)))
    return volume[moved.depth(moved.surface(), where) > 1.5]


def test_textures_have_their_values(written: Written) -> None:
    nodule = max(written.scene.nodules, key=lambda one: one.radius)
    solid = texture(nodule, kind="solid", solid_hu=30.0)
    assert np.median(solid) == pytest.approx(30, abs=15)
    glass = texture(nodule, kind="ground glass", glass_hu=-550.0)
    assert np.median(glass) == pytest.approx(-550, abs=40)
    mixed = texture(nodule, kind="part-solid", solid_hu=30.0, glass_hu=-550.0)
    assert mixed.max() > -50
    assert mixed.min() < -450
    assert texture(nodule, kind="solid", calcification="whole", calcium_hu=600.0).max() > 500
    assert texture(nodule, kind="solid", cavity=1.5).min() < -800
