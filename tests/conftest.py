"""Where the real data is, when it is at hand."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest


def unpack(archive: Path, into: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
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
