"""The dry run of a large cohort: `python -m benchmarks.dag`, from the root of the repository.

A scan table with an empty volume, lung mask and XML file per scan is made in a temporary folder
beside copies of the rules; the time of `snakemake -n` there is the wait before the first job
starts. `--batch manifest=I/N` plans one batch of the scans' jobs, with empty files in place of the
results of earlier batches.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import print_machine

ROOT = Path(__file__).parents[1]
COPIED = ("Snakefile", "rules", "workflow_scripts", "envs", "nodulenet")
SUFFIXES = (".mhd", ".raw", ".xml", "_lungs.mhd", "_lungs.zraw")
MADE = {
    "nodules": (
        "annotations/{}.json",
        *(f"nodules/{{}}.{name}" for name in ("npz", "csv", "json")),
    ),
    "volumes": ("volumes/{}.npy", "volumes/{}_mask.npy", "volumes/{}.json"),
}
"""What the jobs of a scan leave: first those of its annotations and consensus, then preprocess."""


def main() -> None:
    """Measure and print one line."""
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder, options.scans, options.folds)
        if options.batch:
            write_results(folder / "results/large", options.scans, options.batch)
        status, seconds, cpu, megabytes, jobs = dry_run(folder, options)
    print_machine(["snakemake"])
    print("| work | jobs | wall | CPU | peak memory |")
    print("| --- | --- | --- | --- | --- |")
    batch = f" --batch {options.batch}" if options.batch else ""
    work = f"`snakemake -n{batch}`, {options.scans} scans, {options.folds} folds, 5 stages"
    print(f"| {work} | {jobs} | {seconds:.1f} s | {cpu:.1f} s | {megabytes:.0f} MB |")
    if status:
        sys.exit("the dry run failed")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=10_000)
    parser.add_argument("--folds", type=int, default=6)
    parser.add_argument("--batch", metavar="manifest=I/N")
    return parser.parse_args()


def write_cohort(folder: Path, scans: int, folds: int) -> None:
    """Copy the workflow and write a scan table with empty files."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    (folder / "data").mkdir()
    rows = ["series_uid\tpatient_id\tct\tannotations\tlung_mask"]
    for number in range(scans):
        series = f"1.2.826.{number}"
        for suffix in SUFFIXES:
            (folder / f"data/{series}{suffix}").touch()
        paths = (f"data/{series}{suffix}" for suffix in (".mhd", ".xml", "_lungs.mhd"))
        rows.append("\t".join([series, f"P{number}", *paths]))
    (folder / "scans.tsv").write_text("\n".join(rows) + "\n")
    config = f"cohort: large\nscans: scans.tsv\nfolds: {{number: {folds}}}\n"
    (folder / "large.yaml").write_text(config)


def write_results(results: Path, scans: int, batch: str) -> None:
    """Write the results of the earlier batches as empty files.

    Snakemake splits the sorted inputs of `manifest`: first all scans' findings, then all volumes,
    and last the scan table. If the batches are not equal, the first ones have one more.
    """
    number, batches = map(int, batch.partition("=")[2].split("/"))
    each, more = divmod(2 * scans + 1, batches)
    done = each * (number - 1) + min(number - 1, more)
    series = sorted(f"1.2.826.{scan}" for scan in range(scans))
    jobs = [(kind, scan) for kind in MADE for scan in series]
    for name in ("annotations", *MADE):
        (results / name).mkdir(parents=True)
    for kind, scan in jobs[:done]:
        for pattern in MADE[kind]:
            (results / pattern.format(scan)).touch()


def dry_run(folder: Path, options: argparse.Namespace) -> tuple[int, float, float, float, int]:
    """Exit status, wall and CPU time in s, peak memory in MB and number of jobs of a dry run."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--configfile"]
    command += ["large.yaml", *(["--batch", options.batch] if options.batch else [])]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    totals = [line.split()[1] for line in printed.splitlines() if line.startswith("total ")]
    cpu = usage.ru_utime + usage.ru_stime
    return process.returncode, seconds, cpu, usage.ru_maxrss / 1024, int(totals[0]) if totals else 0


if __name__ == "__main__":
    main()
