"""Kill a run at a seeded moment: a hook in the job's own Python, and the run around it."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

# Read by every Python of the run, as `sitecustomize`. In a job of the adapter that is named it
# waits for the n-th time that the job opens a temporary file beside an artefact or renames one
# (n = 0: its start), then so many seconds more, and kills the whole process group, Snakemake
# included. A job that ends before that is killed in its last breath.
HOOK = """
import os
import sys

plan = os.environ.get("NODULENET_KILL", "").split()
if plan and any(part.endswith(f".{plan[0]}.py") for part in sys.orig_argv[1:]):
    import atexit
    import signal
    import threading
    import time

    mark, left, delay = f".{os.getpid()}.", int(plan[1]), float(plan[2])

    def kill():
        os.killpg(0, signal.SIGKILL)

    def later():
        time.sleep(delay)
        kill()

    def is_write(event, values):
        if event == "open" and not ("w" in str(values[1]) or "x" in str(values[1])):
            return False
        return event in ("open", "os.rename") and os.path.basename(str(values[0])).startswith(mark)

    def hook(event, values):
        global left
        if left and is_write(event, values):
            left -= 1
            if not left:
                threading.Thread(target=later, daemon=True).start()

    atexit.register(kill)
    if left:
        sys.addaudithook(hook)
    else:
        threading.Thread(target=later, daemon=True).start()
"""


def moment(generator: random.Random, writes: int) -> str:
    """A moment in a job that opens and renames so many files: soon after its start, or then."""
    if generator.random() < 0.3:
        return f"0 {generator.uniform(0, 2):.4f}"
    return f"{generator.randint(1, writes)} {generator.choice((0, 0.001, 0.01, 0.1)):.4f}"


def killed(clone: Path, script: str, when: str, *arguments: str) -> None:
    """Run Snakemake until a job of this adapter is killed with all that belongs to the run."""
    hook = clone / "killing"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join(map(str, (hook, clone)))
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": path, "NODULENET_KILL": f"{script} {when}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    printed, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, printed
