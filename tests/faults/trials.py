"""Try many inputs, each in a process of its own, forked from this one, bounded in time and memory.

`python trials.py CASES RESULTS`: CASES is a JSON list of {name, kind, folder, arguments}; RESULTS
gets for each its exit status (negative: the signal that ended it), what it printed, and its log.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow_scripts"), str(ROOT / "tests")]

import one_scan  # noqa: E402
import snakemake.cli  # noqa: E402
from job_log import logged  # noqa: E402

import nodulenet.evaluation  # noqa: E402 - imported here once for all forks
import nodulenet.plots  # noqa: E402, F401
from nodulenet import cli  # noqa: E402
from nodulenet.annotations import read_reading  # noqa: E402
from nodulenet.cohort.manifest import gather_scan  # noqa: E402
from nodulenet.cohort.steps import Scan  # noqa: E402
from nodulenet.imaging import read_volume  # noqa: E402

CPU_SECONDS = 60
WALL_SECONDS = 600
MEMORY = 4 << 30


def try_scan(series: str) -> dict[str, Any]:
    """All steps of one scan of the working directory; what became of its marks."""
    out = Path("out")
    ct, lungs = Path(f"{series}.mhd"), Path(f"{series}_lungs.mhd")
    scan = Scan(series, ct, lungs)
    one_scan.prepare(out, scan, Path(f"{series}.xml"))
    row = gather_scan(series, "P", out)
    marks = sum(len(s.marks) for s in read_reading(one_scan.reading(out, series)).sessions)
    return {"marks": marks} | {k: row[k] for k in ("n_nodules", "n_kept", "lost", "depth")}


def run(kind: str, arguments: list[Any]) -> int:
    """Run one case in this process; its exit status."""
    if kind == "nodulenet":
        return cli.main(arguments)
    if kind == "snakemake":
        snakemake.cli.main(arguments)
        return 0
    job = SimpleNamespace(log=["job.log"], threads=1, output=["out/x"])
    console = os.dup(1)
    with logged(job):
        if kind == "scan":
            told: Any = try_scan(*arguments)
        else:
            told = list(read_volume(arguments[0]).array.shape)
        os.write(console, json.dumps(told).encode())
    return 0


def child(case: dict[str, Any]) -> None:
    """What a fork does: never returns."""
    status = 70
    try:
        os.chdir(case["folder"])
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        printed = os.open("printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        status = run(case["kind"], case["arguments"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            os.write(2, error.code.encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if sys.exc_info()[0] not in (None, SystemExit):
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        os._exit(status)


def main(cases: Path, results: Path) -> None:
    """Try all cases one after the other."""
    outcomes = {}
    for case in json.loads(cases.read_text()):
        process = os.fork()
        if not process:
            child(case)
        begin = time.monotonic()
        while True:
            done, code, usage = os.wait4(process, os.WNOHANG)
            if done:
                break
            if time.monotonic() - begin > WALL_SECONDS:
                os.kill(process, 9)
            time.sleep(0.002)
        printed = (Path(case["folder"]) / "printed").read_text(errors="replace")
        outcomes[case["name"]] = {
            "status": os.waitstatus_to_exitcode(code),
            "printed": printed,
            "cpu": usage.ru_utime,
        }
    results.write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
