"""The adapters' frame: output into the log, one line on the console, exit status."""

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from nodulenet.cohort.annotate import annotate_scan

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
JOB = """
import os, sys
from types import SimpleNamespace
sys.path.insert(0, {scripts!r})
from job_log import logged
from nodulenet.files import InputError

class NoLungs(InputError):
    pass

job = SimpleNamespace(log=[{log!r}], threads=3, output=["results/a/volumes/1.2.npy"])
with logged(job):
    print("out")
    os.write(2, b"err\\n")
    assert os.environ["NUMBA_NUM_THREADS"] == "3"
    {body}
"""


@pytest.mark.parametrize(
    ("body", "status", "console"),
    [
        ("pass", 0, ""),
        ("raise NoLungs('scan 1.2: no lungs')", 1, "error: scan 1.2: no lungs (log: {log})\n"),
        ("raise ValueError('two\\nlines')", 1, "error: ValueError: two lines (log: {log})\n"),
        (
            "raise OSError(28, 'No space left on device', 'x.npy')",
            1,
            "error: x.npy: No space left on device (log: {log})\n",
        ),
    ],
)
def test_faults_end_a_job_with_one_line(
    tmp_path: Path, body: str, status: int, console: str
) -> None:
    log = tmp_path / "job.log"
    script = JOB.format(scripts=str(SCRIPTS), log=str(log), body=body)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", console.format(log=log))
    text = log.read_text()
    assert "err\n" in text
    assert "out\n" in text
    assert ("Traceback" in text) == bool(status)


def test_a_full_disk_is_no_bad_scan(tmp_path: Path) -> None:
    tiny.write_scan(tmp_path, tiny.SERIES[0], 0)
    output = tmp_path / "reading.json"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError) as error:  # noqa: PT011 - the number is checked below
            annotate_scan(
                tiny.SERIES[0], [tmp_path / f"{tiny.SERIES[0]}.xml"], "xml", output, "skip"
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno == errno.EFBIG
    assert not list(tmp_path.glob("*reading*")) + list(tmp_path.glob(".*reading*"))
