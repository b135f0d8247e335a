"""GPUs of a machine are held by one process at a time."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
import torch

from nodulenet.model import gpu_lock
from nodulenet.model.gpu_lock import hold_devices, lock, lock_devices, lock_free

HOLD = """
import sys
from pathlib import Path
from nodulenet.model.gpu_lock import lock_devices
with lock_devices(["a", "b"], 1, Path(sys.argv[1])) as held:
    print(*held, flush=True)
    sys.stdin.read()
"""


def test_two_processes_get_different_devices_and_a_kill_frees_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    holders = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    try:
        held = [int(holder.stdout.readline()) for holder in holders if holder.stdout]
        assert sorted(held) == [0, 1]
        holders[0].kill()
        holders[0].wait()
        with lock_devices(["a", "b"], 1, tmp_path) as freed:
            assert freed == [held[0]]
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_too_few_devices_are_not_held_while_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ExitStack()
    with lock_devices(["a"], 1, tmp_path), ExitStack() as held:
        assert len(lock_free(["a", "b"], 2, tmp_path, held)) == 1
        with lock_devices(["a", "b"], 1, tmp_path) as free:  # b was given back
            assert free == [1]
    other.enter_context(lock_devices(["a"], 1, tmp_path))
    monkeypatch.setattr(gpu_lock.time, "sleep", lambda _: other.close())
    with lock_devices(["a", "b"], 2, tmp_path) as both:
        assert both == [0, 1]


def test_nobody_chooses_while_another_does(tmp_path: Path) -> None:
    taken: list[int] = []
    with ExitStack() as held, ExitStack() as choosing:
        assert lock(tmp_path / "choose.lock", choosing, wait=False)
        second = Thread(target=lambda: taken.extend(lock_free(["a"], 1, tmp_path, held)))
        second.start()
        second.join(0.2)
        assert taken == []
        choosing.close()
        second.join()
        assert taken == [0]


def test_the_cpu_is_shared() -> None:
    with hold_devices("cpu", 3) as first, hold_devices("cpu", 1) as second:
        assert first == [torch.device("cpu")] * 3
        assert second == [torch.device("cpu")]
