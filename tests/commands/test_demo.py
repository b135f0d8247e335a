"""`nodulenet demo` up to the point where Snakemake takes over, and `nodulenet workflow`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nodulenet import cli
from nodulenet.commands.demo import SHIPPED
from nodulenet.files import InputError, workflow_folder

ROOT = Path(__file__).parents[2]
FAKE = """
import pathlib, sys, time
print(*sys.argv[1:], sep="\\n", flush=True)
try:
    print(pathlib.Path.cwd(), flush=True)
    if "--wait" not in sys.argv:
        sys.exit(7)
    time.sleep(60)
except KeyboardInterrupt:
    print("jobs ended", flush=True)
    sys.exit(1)
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command where `python -m snakemake` runs a script of our own."""
    (folder / "fake").mkdir()
    (folder / "fake/snakemake.py").write_text(FAKE)
    path = os.pathsep.join([str(folder / "fake"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "nodulenet.cli", "demo", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
        # What a script starts in the background ignores Ctrl-C, and so does all below it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def test_the_files_are_written_and_the_options_handed_on(tmp_path: Path) -> None:
    process = start(tmp_path, "--output", "new", "--cores", "3", "--", "-n", "--forceall", "a b")
    printed, _ = process.communicate()
    assert process.returncode == 7
    folder = tmp_path / "new"
    told = printed.splitlines()
    wrote, line, *handed = told[:3], *told[3:]
    assert wrote == [f"wrote {folder / name}" for name in SHIPPED]
    assert line.startswith(f"in {folder}: ")
    assert line.endswith("--cores 3 -n --forceall 'a b'")
    snakefile = str(ROOT / "Snakefile")
    assert handed[:-1] == ["--snakefile", snakefile, "--cores", "3", "-n", "--forceall", "a b"]
    assert told[-1] == str(folder)
    for name in SHIPPED:
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes()


def test_ctrl_c_reaches_snakemake_which_ends_its_jobs(tmp_path: Path) -> None:
    process = start(tmp_path, "--", "--wait")
    assert process.stdout is not None
    while process.stdout.readline() != f"{tmp_path}\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate()[0] == "jobs ended\n"
    assert process.returncode == 1


def test_files_that_are_there_as_shipped_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo.tsv").write_bytes((ROOT / "demo.tsv").read_bytes())
    os.utime(tmp_path / "demo.tsv", (1, 1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", lambda *_: None)
    assert cli.main(["demo"]) == 0
    wrote = "".join(f"wrote {tmp_path / name}\n" for name in SHIPPED if name != "demo.tsv")
    assert capsys.readouterr().out.startswith(f"{wrote}in ")
    assert (tmp_path / "demo.tsv").stat().st_mtime == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_a_changed_file_is_not_overwritten(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert cli.main(["demo", "--output", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"nodulenet: {tmp_path / name}: exists and differs from the demo")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_the_workflow_of_a_wheel_goes_before_that_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "nodulenet"
    package.mkdir()
    with pytest.raises(InputError, match="the workflow is neither in it nor beside it: install"):
        workflow_folder(package)
    (tmp_path / "Snakefile").write_text("")  # of something else
    with pytest.raises(InputError, match="neither"):
        workflow_folder(package)
    (tmp_path / "rules").mkdir()
    assert workflow_folder(package) == tmp_path
    (package / "workflow/rules").mkdir(parents=True)
    (package / "workflow/Snakefile").write_text("")
    assert workflow_folder(package) == package / "workflow"


def test_the_folder_of_the_workflow_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["workflow"]) == 0
    assert capsys.readouterr().out == f"{ROOT}\n"
