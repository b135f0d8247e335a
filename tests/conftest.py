"""Which tests run, and in how many processes; the real data, where it is at hand; a clone with a
tiny cohort, and its finished run.

Tests marked `slow` run where `-m` says so, or where only files or single tests are named.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser as chromium
import pytest
import running
from filelock import FileLock
from hypothesis import settings

QUICK = "not slow"  # as in pyproject.toml
MOST_WORKERS = 8  # each imports torch: about 2 s and 400 MB

# No test is timed: a busy machine would fail it.
settings.register_profile("full", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=20)


def only_files_named(config: pytest.Config) -> bool:
    """Whether the command line names test files or single tests, and nothing else."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return False
    folder = config.invocation_params.dir
    return all((folder / name.partition("::")[0]).is_file() for name in config.args)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process per core, without workers where a file is named: most take a few seconds."""
    cores = len(os.sched_getaffinity(0))
    return 0 if only_files_named(config) or cores == 1 else min(cores, MOST_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    """Decide which tests run; several processes share the cores, with one thread each."""
    if config.option.markexpr == QUICK and only_files_named(config):
        config.option.markexpr = ""
    settings.load_profile("quick" if config.option.markexpr == QUICK else "full")
    if config.option.numprocesses:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Slow tests go first, so that no process is left alone with one at the end.

    Those of the Slurm cluster go before them: processes take tests from each other's ends, and a
    cluster, which only one process can have, would be started twice.
    """
    items.sort(key=lambda item: (not uses_cluster(item), item.get_closest_marker("slow") is None))


def uses_cluster(item: pytest.Function) -> bool:
    return "nodes" in item.fixturenames


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.option.markexpr == QUICK:
        terminalreporter.write_line(
            'Slow tests were left out: pytest -m "" runs all, pytest FILE those of a file.'
        )


def unpack(archive: Path) -> Callable[[Path], Any]:
    return lambda folder: shutil.unpack_archive(archive, folder)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], Any]], Path]:
    """Fill a folder in whichever process asks first; every other one waits and gets it too.

    once(name, fill): `fill` is called with the new folder. Nobody may change the folder afterwards.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder_of(name: str, fill: Callable[[Path], Any]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return folder_of


Once = Callable[[str, Callable[[Path], Any]], Path]


@pytest.fixture(scope="session")
def nodulenet_data() -> Path:
    """The folder of real data named by NODULENET_DATA."""
    if "NODULENET_DATA" not in os.environ:
        pytest.skip("NODULENET_DATA is not set: the real data is not at hand")
    return Path(os.environ["NODULENET_DATA"])


@pytest.fixture(scope="session")
def lidc_xml(nodulenet_data: Path, once: Once) -> Path:
    """The unpacked folder of all LIDC-IDRI XML files."""
    return once("lidc-xml", unpack(nodulenet_data / "lidc-xml.tar.xz"))


@pytest.fixture(scope="session")
def lidc_scan(nodulenet_data: Path, once: Once) -> Callable[[str], Path]:
    """Unpack one real scan, "0001" or "0003": its folder of DICOM files and XML."""
    return lambda patient: once(patient, unpack(nodulenet_data / f"lidc-idri-{patient}.tar.xz"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium driven by Selenium."""
    try:
        with chromium.running() as driver:
            yield driver
    except chromium.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def first_clone(once: Once) -> Path:
    """The workflow and the cohort, nothing computed; not to be changed."""
    return once("clone", running.clone)


@pytest.fixture(scope="session")
def first_run(first_clone: Path, once: Once) -> Path:
    """A clone with everything computed; not to be changed."""

    def compute(folder: Path) -> None:
        shutil.copytree(first_clone, folder, symlinks=True, dirs_exist_ok=True)
        running.run(folder)

    return once("run", compute)


@pytest.fixture
def fresh(first_clone: Path, tmp_path: Path) -> Path:
    """A clone that the test may change, but for the package: see `running.own_package`."""
    return Path(shutil.copytree(first_clone, tmp_path / "clone", symlinks=True))


@pytest.fixture
def finished(first_run: Path, tmp_path: Path) -> Path:
    """A clone with everything computed that the test may change, as `fresh`."""
    return Path(shutil.copytree(first_run, tmp_path / "clone", symlinks=True))
