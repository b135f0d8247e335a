"""Two runs in one folder, and a run by somebody who may not write."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import running
import tiny

pytestmark = pytest.mark.slow

TARGET = f"results/tiny/annotations/{tiny.SERIES[0]}.json"
# Root passes over the rights of files by these capabilities.
POWERS = "-dac_override,-dac_read_search,-fowner"


def test_a_second_run_in_the_same_folder_says_that_it_is_locked(fresh: Path) -> None:
    first = running.start(fresh, TARGET)
    locks = fresh / ".snakemake/locks"
    # The lock on its inputs comes first and shuts nobody out.
    while not any(lock.stat().st_size for lock in locks.glob("*.output.lock")):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    try:
        printed = running.fail(fresh, TARGET)
    finally:
        first.send_signal(signal.SIGCONT)
    assert "LockException" in printed
    assert "Directory cannot be locked" in printed
    assert str(fresh) in printed
    assert "Traceback" not in printed
    running.end(first, 0)
    assert (fresh / TARGET).exists()


def powerless(clone: Path, *command: str) -> tuple[int, str]:
    """Run a command that is bound to the rights of files, as any user but root is."""
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root is bound to no rights, and there is no setpriv to give them up")
        command = ("setpriv", f"--bounding-set={POWERS}", *command)
    done = subprocess.run(
        command,
        cwd=clone,
        # Unbuffered, or into a pipe Python would write stdout when it ends, after stderr.
        env={**os.environ, "PYTHONPATH": str(clone), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("folder", [".", "results", "results/tiny/annotations"])
def test_a_run_without_the_right_to_write_says_where(fresh: Path, folder: str) -> None:
    place = fresh / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "kept").touch()  # Snakemake removes a folder that a failed job leaves empty
    place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    status, printed = powerless(fresh, sys.executable, "-m", "snakemake", TARGET)
    place.chmod(stat.S_IRWXU)
    assert status == 1
    assert "Traceback" not in printed
    named = {".": f"{fresh}: is not writable", "results": "denied: 'results/tiny'"}
    assert named.get(folder, f"error: {TARGET}: Permission denied") in printed


def test_a_command_without_the_right_to_write_says_where(fresh: Path) -> None:
    place = fresh / "mine"
    place.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    command = (sys.executable, "-m", "nodulenet.cli", "index", "--ct", "data")
    status, printed = powerless(
        fresh, *command, "--annotations", "data", "--output", "mine/scans.tsv"
    )
    assert status == 1
    assert printed.splitlines()[-1] == "nodulenet: mine/scans.tsv: Permission denied"
