"""CT of other parts of the body, and of nothing, in the bundled detector: findings or a reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chest import grid_world, sample, turned_affine
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.findings.detector import Detector, load_detector
from nodulenet.findings.predict import predict_scan
from nodulenet.findings.scans import find_scans
from nodulenet.findings.threshold import Threshold
from nodulenet.imaging import Volume, write_volume
from nodulenet.settings import InferenceSettings
from nodulenet.weights import BUNDLED

AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)
SHAPE, SPACING = (24, 80, 90), (4.0, 2.2, 2.2)
LOW = Threshold(0.05, "given")  # so that something is found wherever there is anything


def place() -> tuple[NDArray, NDArray[np.float64]]:
    """An affine and the positions (z, y, x, 3) of its voxels in mm."""
    affine = turned_affine(AXIAL, SPACING)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    return affine, grid_world(affine, SHAPE)


def inside(world: NDArray, centre: tuple[float, ...], axes: tuple[float, ...]) -> NDArray[np.bool_]:
    return (((world - centre) / axes) ** 2).sum(-1) < 1


def head() -> Volume:
    """A skull with nasal cavity and sinuses."""
    affine, world = place()
    hu = np.full(SHAPE, -1000, np.int16)
    hu[inside(world, (0, 0, 0), (75, 95, 80))] = 50
    hu[inside(world, (0, 0, 0), (70, 90, 75))] = 1200
    hu[inside(world, (0, 0, 0), (64, 84, 69))] = 35
    for centre, axes in (((0, -60, -10), (12, 25, 30)), ((20, -55, -20), (14, 14, 16))):
        hu[inside(world, centre, axes)] = -990
    return Volume(hu, affine)


def abdomen(gas: int = 3) -> Volume:
    """Soft tissue with bubbles of gas in the bowel, and a metal implant."""
    affine, world = place()
    hu = np.full(SHAPE, -1000, np.int16)
    hu[inside(world, (0, 0, 0), (90, 75, 500))] = 45
    rng = np.random.default_rng(0)
    for centre in rng.uniform((-60, -45, -30), (60, 20, 30), (gas, 3)):
        hu[inside(world, tuple(centre), (18, 14, 15))] = -980
    hu[inside(world, (30, 40, 0), (5, 5, 30))] = 3071
    return Volume(hu, affine)


def bowel_like_a_lung() -> Volume:
    """An abdomen with two loops of bowel of a lung's size and density, and stool in one."""
    volume = abdomen(0)
    world = grid_world(volume.affine, SHAPE)
    hu = volume.array.astype(float)
    rng = np.random.default_rng(3)
    for x in (-42, 42):
        loop = inside(world, (x, 0, 0), (36, 50, 44))
        hu[loop] = rng.normal(-850, 30, loop.sum())
    hu[inside(world, (-42, 5, 5), (8, 8, 8))] = 40
    return Volume(hu.astype(np.int16), volume.affine)


def lung_alone() -> Volume:
    """A field of view within one lung, without any wall."""
    affine, world = place()
    hu = np.random.default_rng(1).normal(-860, 40, SHAPE)
    hu[inside(world, (10, 0, 0), (9, 9, 9))] = 30
    return Volume(hu.astype(np.int16), affine)


def one_lung() -> Volume:
    """A chest whose left lung is full of fluid."""
    volume = sample(turned_affine(AXIAL))
    hu = volume.array.copy()
    half = grid_world(volume.affine, hu.shape)[..., 0] > 0
    hu[half & (hu == -850)] = 15
    return Volume(hu, volume.affine)


def filled(value: int, shape: tuple[int, int, int] = SHAPE) -> Volume:
    return Volume(np.full(shape, value, np.int16), turned_affine(AXIAL, SPACING))


def noise() -> Volume:
    hu = np.random.default_rng(2).integers(-1024, 3072, SHAPE)
    return Volume(hu.astype(np.int16), turned_affine(AXIAL, SPACING))


def few_slices(number: int) -> Volume:
    volume = sample(turned_affine(AXIAL))
    middle = len(volume.array) // 2
    return Volume(volume.array[middle : middle + number].copy(), volume.affine)


REFUSED: dict[str, Callable[[], Volume]] = {
    "head": head,
    "abdomen": abdomen,
    "abdomen without gas": lambda: abdomen(0),
    "lung alone": lung_alone,
    "air": lambda: filled(-1000),
    "tissue": lambda: filled(40),
    "lowest": lambda: filled(-32768),
    "highest": lambda: filled(32767),
    "noise": noise,
    "one slice": lambda: few_slices(1),
    "two slices": lambda: few_slices(2),
    "five slices": lambda: few_slices(5),
    "one voxel": lambda: filled(-850, (1, 1, 1)),
}
PREDICTED = {"one lung": one_lung, "bowel like a lung": bowel_like_a_lung}


@pytest.fixture(scope="module")
def bundled() -> Detector:
    return load_detector([BUNDLED], "cpu", LOW.probability, InferenceSettings())


@pytest.mark.parametrize("name", REFUSED)
def test_a_ct_without_lungs_is_refused_with_a_reason(
    name: str, tmp_path: Path, bundled: Detector
) -> None:
    write_volume(REFUSED[name](), tmp_path / "ct.nii.gz")
    (scan,), _ = find_scans(tmp_path / "ct.nii.gz")
    with pytest.raises(InputError, match=r"ct\.nii\.gz: series ct: (no lungs|not HU)"):
        predict_scan(scan, bundled, LOW, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", PREDICTED)
def test_what_has_something_like_lungs_gives_findings(
    name: str, tmp_path: Path, bundled: Detector
) -> None:
    write_volume(PREDICTED[name](), tmp_path / "ct.nii.gz")
    (scan,), _ = find_scans(tmp_path / "ct.nii.gz")
    content = predict_scan(scan, bundled, LOW, tmp_path / "out")
    assert content["findings"]
    assert all(row["probability"] >= LOW.probability for row in content["findings"])
    assert set(content["files"]) == {path.name for path in (tmp_path / "out").iterdir()}
