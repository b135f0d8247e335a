"""The cluster on this machine."""

from collections.abc import Iterator

import cluster
import pytest


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """A running cluster: the names of its nodes. Slurm's commands are on PATH."""
    names = ("node1", "node2")
    try:
        packages = cluster.unpack_packages(tmp_path_factory.mktemp("packages"))
    except cluster.Unavailable as reason:
        pytest.skip(str(reason))
    with (
        cluster.running_cluster(packages, names) as environment,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # jobs share the cores of one machine
        yield names
