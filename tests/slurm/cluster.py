"""A Slurm cluster on this machine alone: Debian's packages in a folder, daemons on localhost."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
LIBRARIES = "usr/lib/*-linux-gnu"
# More processors and memory than the machine has: Slurm keeps the books, nothing enforces them.
SLURM_CONF = """\
ClusterName=tiny
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
PluginDir={plugins}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=100000
GresTypes=gpu
MinJobAge=86400
DefMemPerCPU=100
KillWait=2
ReturnToService=2
PartitionName=cpu Nodes=ALL Default=YES
PartitionName=gpu Nodes=ALL
"""
NODE = """\
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=32 RealMemory=256000 \
Gres=gpu:{model}:4
"""
GPU_MODEL = "a100"
NO_GPUS = ("null", "zero", "full", "random")
"""Devices that every machine has, in the place of GPUs."""


class Unavailable(Exception):
    """Why there can be no cluster on this machine."""


@dataclass(frozen=True)
class Packages:
    """Where the unpacked packages are, and what the environment of their programs must hold."""

    root: Path
    environment: dict[str, str]


def unpack_packages(folder: Path) -> Packages:
    """Download Debian's Slurm and munge and unpack them below `folder`; installs nothing.

    Raises `Unavailable` with the reason.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable("Slurm's packages come from Debian: no apt-get here")
    if os.geteuid():
        raise Unavailable("the daemons of Slurm are started as root only")
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    own = ["-o", "Debug::NoLocking=1", "-o", f"Dir::Cache::archives={archives}"]
    get = ["install", "--yes", "--download-only", "--reinstall", "--no-install-recommends"]
    if apt(*own, *get, *PACKAGES):
        own += ["-o", f"Dir::State::lists={lists}"]
        fault = apt(*own, "update") or apt(*own, *get, *PACKAGES)
        if fault:
            raise Unavailable(f"Slurm cannot be had from Debian: {fault}")
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", archive, folder / "root"], check=True)
    # The daemons ask for their own name, which Debian gives them in links made on installation.
    for daemon in (folder / "root/usr/sbin").glob("*-wlm"):
        daemon.with_name(daemon.name.removesuffix("-wlm")).symlink_to(daemon.name)
    return Packages(folder / "root", search_paths(folder / "root"))


def apt(*arguments: str) -> str:
    """Run apt-get; the last line it prints if it fails, else nothing."""
    done = subprocess.run(
        ["apt-get", *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.stdout.strip().rpartition("\n")[2] if done.returncode else ""


def search_paths(root: Path) -> dict[str, str]:
    """PATH and LD_LIBRARY_PATH with the folders of the unpacked packages before the others."""
    libraries = [*root.glob(LIBRARIES), *root.glob(f"{LIBRARIES}/slurm-wlm")]
    folders = {"PATH": [root / "usr/bin", root / "usr/sbin"], "LD_LIBRARY_PATH": libraries}
    before = {name: os.environ.get(name, "") for name in folders}
    return {
        name: os.pathsep.join(filter(None, [*map(str, paths), before[name]]))
        for name, paths in folders.items()
    }


@contextmanager
def running_cluster(packages: Packages, nodes: Sequence[str]) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and one slurmd a node; gives the environment of the clients.

    All are stopped at the end, by the ids of the processes started here. The folder lies directly
    below the one for temporary files, because a socket must not have a long name.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    environment = {**os.environ, **packages.environment, "SLURM_CONF": str(folder / "slurm.conf")}
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    write_configuration(folder, packages, nodes)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        log = stack.enter_context((folder / "daemons.log").open("ab"))
        daemons: list[subprocess.Popen[bytes]] = []

        def start(name: str, *arguments: str) -> None:
            command = [packages.root / "usr/sbin" / name, *arguments]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(stop, process)
            daemons.append(process)

        start("munged", "--foreground", "--force", *munge_arguments(folder))
        await_success(f"test -S {folder}/munge.socket", environment, daemons)
        start("slurmctld", "-D", "-i")
        for node in nodes:
            start("slurmd", "-D", "-N", node, "-d", str(packages.root / "usr/sbin/slurmstepd"))
        idle = "sinfo --noheader --Node --states=idle --partition=cpu 2> /dev/null | wc -l"
        await_success(f"test $({idle}) = {len(nodes)}", environment, daemons)
        stack.callback(cancel_all, environment)
        yield environment


def write_configuration(folder: Path, packages: Packages, nodes: Sequence[str]) -> None:
    """slurm.conf, gres.conf with GPUs that are none, munge's key, and the state folder."""
    host = socket.gethostname().partition(".")[0]
    (plugins,) = packages.root.glob(f"{LIBRARIES}/slurm-wlm")
    ports = free_ports(len(nodes) + 1)
    text = SLURM_CONF.format(host=host, port=ports[0], folder=folder, plugins=plugins)
    for node, port in zip(nodes, ports[1:], strict=True):
        text += NODE.format(name=node, host=host, port=port, model=GPU_MODEL)
    (folder / "slurm.conf").write_text(text)
    gpus = [f"Name=gpu Type={GPU_MODEL} File=/dev/{device}\n" for device in NO_GPUS]
    (folder / "gres.conf").write_text("".join(gpus))
    (folder / "state").mkdir()
    # Snakemake's plugin takes SLURM_CONF away before it calls srun within a job.
    (folder / "bin").mkdir()
    srun = folder / "bin/srun"
    srun.write_text(
        f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {packages.root}/usr/bin/srun "$@"\n'
    )
    srun.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o400)


def munge_arguments(folder: Path) -> list[str]:
    """What keeps munged in its folder."""
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed"}
    files["log-file"] = "log"
    return [f"--{option}={folder}/munge.{suffix}" for option, suffix in files.items()]


def free_ports(number: int) -> list[int]:
    """Ports of localhost that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def await_success(
    command: str, environment: dict[str, str], daemons: Sequence[subprocess.Popen[bytes]]
) -> None:
    """Repeat a command until it succeeds; raises if a daemon ends or after a minute."""
    end = time.monotonic() + 60
    while subprocess.run(["timeout", "5", "sh", "-c", command], env=environment).returncode:
        if time.monotonic() > end or any(daemon.poll() is not None for daemon in daemons):
            log = Path(environment["SLURM_CONF"]).with_name("daemons.log").read_text()
            raise RuntimeError(f"the cluster does not start: {command}\n{log}")
        time.sleep(0.5)


def cancel_all(environment: dict[str, str]) -> None:
    """Cancel every job and wait until none is left, at most half a minute."""
    subprocess.run(["timeout", "10", "scancel", "--user=root"], env=environment)
    left = "squeue --noheader | wc -l"
    end = time.monotonic() + 30
    while (
        time.monotonic() < end
        and subprocess.run(
            ["timeout", "5", "sh", "-c", f"test $({left}) != 0"], env=environment
        ).returncode
        == 0
    ):
        time.sleep(0.5)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a daemon: SIGTERM, and SIGKILL where that is not heeded."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
