"""Where the real data is, when it is at hand; a clone with a tiny cohort, and its finished run."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser as chromium
import pytest
import running
from hypothesis import settings

# No test is timed: a busy machine would fail it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def unpack(archive: Path, into: Path) -> Path:
    shutil.unpack_archive(archive, into)
    return into


@pytest.fixture(scope="session")
def nodulenet_data() -> Path:
    """The folder of real data named by NODULENET_DATA."""
    if "NODULENET_DATA" not in os.environ:
        pytest.skip("NODULENET_DATA is not set: the real data is not at hand")
    return Path(os.environ["NODULENET_DATA"])


@pytest.fixture(scope="session")
def lidc_xml(nodulenet_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked folder of all LIDC-IDRI XML files."""
    return unpack(nodulenet_data / "lidc-xml.tar.xz", tmp_path_factory.mktemp("lidc-xml"))


@pytest.fixture(scope="session")
def lidc_scan(
    nodulenet_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Unpack one real scan, "0001" or "0003": its folder of DICOM files and XML."""
    unpacked: dict[str, Path] = {}

    def scan(patient: str) -> Path:
        if patient not in unpacked:
            archive = nodulenet_data / f"lidc-idri-{patient}.tar.xz"
            unpacked[patient] = unpack(archive, tmp_path_factory.mktemp(patient))
        return unpacked[patient]

    return scan


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium driven by Selenium."""
    try:
        with chromium.running() as driver:
            yield driver
    except chromium.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def first_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clone and the cohort, nothing computed; not to be changed."""
    folder = tmp_path_factory.mktemp("clone")
    running.clone(folder)
    return folder


@pytest.fixture(scope="session")
def first_run(first_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with everything computed; not to be changed."""
    folder = shutil.copytree(first_clone, tmp_path_factory.mktemp("run") / "clone")
    running.run(folder)
    return Path(folder)


@pytest.fixture
def fresh(first_clone: Path, tmp_path: Path) -> Path:
    """A clone that the test may change."""
    return Path(shutil.copytree(first_clone, tmp_path / "clone"))


@pytest.fixture
def finished(first_run: Path, tmp_path: Path) -> Path:
    """A clone with everything computed that the test may change."""
    return Path(shutil.copytree(first_run, tmp_path / "clone"))
