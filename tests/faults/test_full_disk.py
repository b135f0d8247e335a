"""A disk that fills up while a volume, a checkpoint or predictions are written."""

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import running
import tiny
import torch

from nodulenet.files import write_json
from nodulenet.imaging import Volume, write_scan, write_volume
from nodulenet.inference.table import COLUMNS, write_predictions
from nodulenet.masks import CroppedMask, write_masks
from nodulenet.model import NoduleNet
from nodulenet.training.checkpoint import resume, save_checkpoint

SIZE = 2 << 20
NOISE = np.random.default_rng(0).integers(0, 255, (40, 256, 256)).astype(np.uint8)
VOLUME = Volume(NOISE, np.eye(4))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory that holds 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = f"size={SIZE}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting a small file system needs the rights of root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of more than 64 KiB can be written: what anybody can do, and ends the same way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def scan(folder: Path) -> Path:
    names = {"volume": "1.2.npy", "record": "1.2.json", "mask": "1.2_mask.npy"}
    files = {kind: folder / name for kind, name in names.items()}
    write_scan(files, VOLUME, NOISE, {})
    return files["volume"]


def restored_masks(folder: Path) -> Path:
    write_volume(VOLUME, folder / "1.2.nii.gz")
    return folder / "1.2.nii.gz"


def cropped_masks(folder: Path) -> Path:
    noise = NOISE.repeat(8, axis=0) > 127
    write_masks({1: CroppedMask(noise, (0, 0, 0))}, folder / "1.2.npz")
    return folder / "1.2.npz"


def predictions(folder: Path) -> Path:
    row = dict.fromkeys(COLUMNS, 0.123456) | {"seriesuid": "1.2.840", "fold": 0}
    write_predictions([pd.DataFrame([row] * 20_000)], folder / "predictions.csv")
    return folder / "predictions.csv"


def record(folder: Path) -> Path:
    write_json(folder / "predictions.json", {"scans": ["1.2.840"] * 300_000})
    return folder / "predictions.json"


WRITERS = {
    "1.2.npy": scan,
    "1.2.nii.gz": restored_masks,
    "1.2.npz": cropped_masks,
    "predictions.csv": predictions,
    "predictions.json": record,
}


def check_refused(folder: Path, write: Callable[[Path], Path], name: str) -> OSError:
    """The writer must name the file in its error, and leave nothing behind."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is the caller's
        write(folder)
    assert Path(str(caught.value.filename)) == folder / name
    assert list(folder.iterdir()) == []
    return caught.value


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_with_the_file_and_leaves_nothing(small_disk: Path, name: str) -> None:
    error = check_refused(small_disk, WRITERS[name], name)
    # SimpleITK does not tell why.
    assert error.errno == (errno.EIO if name.endswith(".nii.gz") else errno.ENOSPC)
    (small_disk / "room").write_bytes(bytes(SIZE - os.sysconf("SC_PAGE_SIZE")))


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith(".nii.gz")])
def test_a_limit_on_files_is_told_likewise(tmp_path: Path, small_files: None, name: str) -> None:
    assert check_refused(tmp_path, WRITERS[name], name).errno == errno.EFBIG


def trained() -> tuple[NoduleNet, torch.optim.SGD]:
    """A small network after one step."""
    torch.manual_seed(0)
    net = NoduleNet(width=0.05)
    optimiser = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    torch.stack([p.square().sum() for p in net.parameters()]).sum().backward()
    optimiser.step()
    return net, optimiser


def test_the_last_good_checkpoint_outlives_a_full_disk(small_disk: Path) -> None:
    net, optimiser = trained()
    path = small_disk / "checkpoint.pt"
    save_checkpoint(path, "mark", net, optimiser, [{"epoch": 0}])
    good = path.read_bytes()
    (small_disk / "ballast").write_bytes(bytes(SIZE - len(good) * 3 // 2))
    optimiser.step()
    with pytest.raises(OSError, match=r"No space left on device: .*/checkpoint\.pt'"):
        save_checkpoint(path, "mark", net, optimiser, [{"epoch": 0}, {"epoch": 1}])
    assert sorted(p.name for p in small_disk.iterdir()) == ["ballast", "checkpoint.pt"]
    assert path.read_bytes() == good
    assert resume(path, "mark", *trained()) == [{"epoch": 0}]


@pytest.mark.slow
def test_a_run_on_a_full_disk_ends_with_one_line_and_goes_on_with_room(
    fresh: Path, small_disk: Path
) -> None:
    results = small_disk / "results"
    results.mkdir()
    (fresh / "results").symlink_to(results)
    (small_disk / "ballast").write_bytes(bytes(SIZE - 100_000))
    volume = f"results/tiny/volumes/{tiny.SERIES[0]}.npy"
    printed = running.fail(fresh, volume)
    faults = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert faults == [
        f"error: {volume}: No space left on device (log: logs/tiny/preprocess/{tiny.SERIES[0]}.log)"
    ]
    assert not list((fresh / "results/tiny").glob("volumes/*"))
    (small_disk / "ballast").unlink()
    running.run(fresh, volume)
