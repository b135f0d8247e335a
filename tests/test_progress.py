"""Progress as a terminal and as a log see it."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodulenet import progress

ROOT = Path(__file__).parents[1]
TRACK = """
from nodulenet.progress import track
for item in track(["a", "b", "c"], "read", "scans", every={every}):
    print(item)
"""
STEPS = """
from nodulenet.progress import steps
with steps("scan 1", 4) as advance:
    for what in ("lungs", "network", "network", "masks"):
        advance(what)
"""
LOGGING = """
import logging
from nodulenet.progress import logging_beside_bars, track_logged
logging.basicConfig(format="%(message)s")
with logging_beside_bars():
    for item in track_logged(range(2), "train", "epochs"):
        logging.warning("epoch %d", item)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def in_a_pipe(*command: str) -> str:
    """What a command writes to stderr when that is no terminal."""
    done = subprocess.run(
        [sys.executable, *command], env=environment(), capture_output=True, text=True, check=False
    )
    return done.stderr


def on_a_terminal(*command: str) -> str:
    """What a command writes to stderr when that is a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        [sys.executable, *command], env=environment(), stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    process.wait()
    return written.decode()


def test_a_terminal_sees_a_bar() -> None:
    written = on_a_terminal("-c", TRACK.format(every=0.0))
    assert written.startswith("\rread:   0%|")
    assert "| 3/3 [" in written
    assert " scans/s]" in written
    assert "of 3 scans" not in written


def test_a_log_sees_lines() -> None:
    lines = in_a_pipe("-c", TRACK.format(every=0.0)).splitlines()
    assert lines == [f"read: {number} of 3 scans, 0 s" for number in (1, 2, 3)]
    assert in_a_pipe("-c", TRACK.format(every=60.0)) == ""
    assert in_a_pipe("-c", LOGGING).splitlines() == ["epoch 0", "epoch 1"]


def test_lines_come_when_their_time_has_passed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Start, then after each item; a line is due at 10 s and 10 s after the last one.
    clock = iter([0.0, 4.0, 11.0, 20.0, 21.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))

    def items() -> Iterator[int]:
        yield from range(4)

    assert list(progress.track(items(), "read", "files")) == [0, 1, 2, 3]
    assert capsys.readouterr().err.splitlines() == ["read: 2 files, 11 s", "read: 4 files, 21 s"]


def test_steps() -> None:
    lines = ["scan 1: lungs", "scan 1: network", "scan 1: masks"]
    assert in_a_pipe("-c", STEPS).splitlines() == lines
    written = on_a_terminal("-c", STEPS)
    assert "| 4/4 [" in written
    assert "masks]" in written


def test_what_is_logged_stands_on_lines_of_its_own() -> None:
    assert in_a_pipe("-c", LOGGING).splitlines() == ["epoch 0", "epoch 1"]
    written = on_a_terminal("-c", LOGGING)
    for line in ("epoch 0", "epoch 1"):
        assert f"\r{line}\r\n" in written


def test_a_command_shows_how_far_it_is_and_its_fault_on_a_line(tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml/a.xml").write_text("<IdriReadMessage/>")
    (tmp_path / "xml/b.xml").symlink_to(tmp_path / "none")
    folders = ("--ct", str(tmp_path / "ct"), "--annotations", str(tmp_path / "xml"))
    command = ("-m", "nodulenet.cli", "index", *folders, "--output", str(tmp_path / "o.tsv"))
    written = on_a_terminal(*command)
    assert "look for images: " in written
    assert "look for annotations: " in written
    assert written.splitlines()[-1].startswith("nodulenet: ")
    assert in_a_pipe(*command).startswith("nodulenet: ")


def test_bars_are_drawn_in_one_place() -> None:
    drawing = [p for p in (ROOT / "nodulenet").rglob("*.py") if "import tqdm" in p.read_text()]
    assert [path.name for path in drawing] == ["progress.py"]
