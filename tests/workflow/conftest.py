"""A clone of the repository with a tiny cohort in place of the demo, and its finished run."""

import shutil
from pathlib import Path

import pytest
import running


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
