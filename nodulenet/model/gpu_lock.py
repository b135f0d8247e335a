"""Locks on the GPUs of one machine: each serves one training or prediction at a time."""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from nodulenet.files import InputError

log = logging.getLogger(__name__)

PAUSE = 2.0
"""Seconds between two attempts to lock free devices."""


@contextmanager
def hold_devices(kind: str, number: int) -> Iterator[list[torch.device]]:
    """Yield `number` devices of a kind (cpu, cuda); GPUs are locked, the CPU is shared.

    Raises `InputError` if the machine has fewer GPUs.
    """
    if kind == "cpu":
        yield [torch.device("cpu")] * number
        return
    uuids = [
        str(torch.cuda.get_device_properties(k).uuid) for k in range(torch.cuda.device_count())
    ]
    if number > len(uuids):
        raise InputError(f"train.gpus: {number} requested, but torch finds {len(uuids)}")
    with lock_devices(uuids, number) as held:
        yield [torch.device("cuda", k) for k in held]


@contextmanager
def lock_devices(
    names: Sequence[str], number: int, folder: Path | None = None
) -> Iterator[list[int]]:
    """Lock `number` free devices among those called `names`; yields their positions in `names`.

    Each device has a lock file in `folder` (default: nodulenet-gpus in the temporary folder of
    the machine), which the system releases when its holder ends, even if it is killed. Either all
    devices are locked at once or none, under a further lock, so that two processes that need
    several devices cannot deadlock. Waits, with a log message, while too few are free.
    """
    folder = folder or Path(tempfile.gettempdir()) / "nodulenet-gpus"
    make_shared(folder)
    noted = False
    while True:
        with ExitStack() as held:
            free = lock_free(names, number, folder, held)
            if len(free) == number:
                yield free
                return
        if not noted:
            log.info("waiting for %d free of %d GPUs (locks in %s)", number, len(names), folder)
            noted = True
        time.sleep(PAUSE)


def lock_free(names: Sequence[str], number: int, folder: Path, held: ExitStack) -> list[int]:
    """Lock `number` free devices until `held` closes, or none; the positions of those free."""
    free: list[int] = []
    with ExitStack() as choosing:
        lock(folder / "choose.lock", choosing, wait=True)
        for position, name in enumerate(names):
            if len(free) < number and lock(folder / f"{name}.lock", held, wait=False):
                free.append(position)
        if len(free) < number:
            held.close()
    return free


def lock(path: Path, until: ExitStack, wait: bool) -> bool:
    """Lock a file, created if missing, until the stack closes; False if it is already locked.

    The file is opened read-only, so that one user can wait for the lock of another.
    """
    with suppress(PermissionError):  # another user has just created it
        if not path.exists():
            path.touch()
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(file)
        return False
    until.callback(os.close, file)
    return True


def make_shared(folder: Path) -> None:
    """Create a folder in which every user of the machine may put lock files."""
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
