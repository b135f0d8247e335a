"""First step of every adapter: send output to the job's log, report an error in one line."""

import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def logged(job: Any) -> Iterator[None]:
    """Send stdout, stderr and logging to the job's log; on an error exit 1 with one line.

    The file descriptors are redirected, not only sys.stderr, so that the output of libraries is
    logged too. The console gets `error: ...` and the log the traceback. A damaged file made by the
    workflow is moved aside, so that the next run makes it again. Thread pools whose size is set by
    the environment get the job's threads.
    """
    for library in ("NUMBA_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[library] = str(job.threads)
    log = Path(str(job.log[0]))
    console = os.dup(2)
    try:
        file = log.open("w")
    except OSError as error:
        raise SystemExit(f"error: {log}: {error.strerror}") from None
    with file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        yield
    except Exception as error:  # noqa: BLE001 - one line on the console, the traceback in the log
        traceback.print_exc()
        sys.stderr.flush()
        line = " ".join(f"error: {error_text(error, job)} (log: {log})".split())
        os.write(console, f"{line}\n".encode(errors="replace"))
        raise SystemExit(1) from None
    finally:
        logging.info("job used %s", used())


def used() -> str:
    """CPU time of the job and its finished children, and the peak memory of the job itself.

    Not ru_maxrss, which a child process inherits from its parent.
    """
    cpu = f"{sum(os.times()[:4]):.2f} s of CPU"
    status = Path("/proc/self/status")  # Linux
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text() if status.exists() else "")
    return f"{cpu} and {int(peak[1]) / 1024:.0f} MB of memory" if peak else cpu


def error_text(error: Exception, job: Any) -> str:
    """The error message, and which files were moved aside."""
    from nodulenet.files import CorruptArtefact, InputError, set_aside

    if isinstance(error, CorruptArtefact):
        own = [path for path in error.files if is_result(path, job)]
        aside = [str(place) for place in map(set_aside, own) if place]
        moved = f"; moved to {', '.join(aside)}" if aside else ""
        again = f"; ask snakemake for {own[-1]}, then run as before" if own else ""
        return f"{error}{moved}{again}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def is_result(path: Path, job: Any) -> bool:
    """Whether the workflow made a file, rather than the user, such as weights of another run."""
    made = Path(str(job.output[0])).parts
    if "results" not in made:
        return False
    below = len(made) - made[::-1].index("results") + 1  # results/{cohort}
    return path.parts[:below] == made[:below]
