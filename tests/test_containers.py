"""The container files, as far as they can be tried without a container."""

import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from nodulenet import __version__

ROOT = Path(__file__).parents[1]
DOCKER = (ROOT / "envs/Dockerfile").read_text()
APPTAINER = (ROOT / "envs/nodulenet.def").read_text()
README = (ROOT / "README.md").read_text()
WHEEL = f"nodulenet-{__version__}-py3-none-any.whl"
FOLDER = "/opt/nodulenet"
SYSTEM = ("apt-get update", "apt-get install -y --no-install-recommends libgomp1")


def section(name: str) -> str:
    """A section of the Apptainer definition."""
    return re.split(r"^%", APPTAINER.split(f"%{name}\n")[1], flags=re.M)[0]


def docker_script(cuda: str) -> str:
    scripts = re.findall(r"^RUN (.*?[^\\])$", DOCKER, re.M | re.S)
    return "\n".join([f"CUDA={cuda}; cd {FOLDER}", *scripts])


def apptainer_script(cuda: str) -> str:
    return section("post").replace("{{ CUDA }}", cuda)


@pytest.mark.parametrize("script", [docker_script, apptainer_script])
@pytest.mark.parametrize("cuda", ["no", "yes"])
def test_what_is_installed_is_what_the_readme_installs(script, cuda, tmp_path):
    (tmp_path / WHEEL).touch()
    # Nothing but these can be called.
    for name in ("pip", "apt-get", "rm"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "ls").symlink_to(str(shutil.which("ls")))
    shell = "set -eu\n" + script(cuda).replace(FOLDER, str(tmp_path))
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run(
        ["/bin/sh", "-c", shell], env=environment, check=True, capture_output=True, text=True
    )
    *system, removed, last = done.stdout.splitlines()
    assert system == list(SYSTEM)
    assert removed.startswith("rm -rf /var/lib/apt/lists/")
    (told,) = re.findall(r"^pip install .*whl$", README, re.M)
    cpu = "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert cpu in README
    told = told.replace("nodulenet-*.whl", f"{WHEEL}[gpu]" if cuda == "yes" else f"{WHEEL} {cpu}")
    assert last == told.replace("install", "install --no-cache-dir")


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="not on Debian")
def test_the_packages_of_the_system_exist():
    for name in SYSTEM[-1].split("--no-install-recommends ")[1].split():
        subprocess.run(["apt-cache", "show", name], check=True, capture_output=True)


def test_what_is_copied_is_there():
    (copied,) = re.findall(rf"^COPY (.*) {FOLDER}/$", DOCKER, re.M)
    assert re.findall(rf"^ +(\S+) {FOLDER}/$", section("files"), re.M) == copied.split()
    constraints, wheel = copied.split()
    assert (ROOT / constraints).exists()
    assert fnmatch(f"dist/{WHEEL}", wheel)
    assert "pip wheel --no-deps --wheel-dir dist ." in README
    kept = (ROOT / "envs/Dockerfile.dockerignore").read_text().splitlines()
    assert kept == ["*", *(f"!{name}" for name in copied.split())]


def test_both_are_alike():
    (base,) = re.findall(r"^FROM (.*)$", DOCKER, re.M)
    assert re.findall(r"^From: (.*)$", APPTAINER, re.M) == [base] == ["python:3.11-slim"]
    (variables,) = re.findall(r"^ENV (.*)$", DOCKER, re.M)
    assert f"export {variables}\n" in section("environment")
    assert "ARG CUDA=no" in DOCKER
    assert "CUDA=no" in section("arguments")
