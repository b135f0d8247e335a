"""Two hundred spoilt inputs: each is read, or refused in a line with status 1; nothing is lost."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dicom_files
import mutate
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import tiny

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRIALS = Path(__file__).with_name("trials.py")
SERIES = tiny.SERIES[0]
HEADER = 352  # bytes of a NIfTI header
FROC = {
    "annotations.csv": "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.1,0,0,0,8\n1.2,5,-5,50,20\n",
    "excluded.csv": "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.1,30,30,30,-1\n",
    "predictions.csv": "seriesuid,coordX,coordY,coordZ,probability\n1.1,1,0,0,0.9\n1.3,9,9,9,.5\n",
    "seriesuids.csv": "1.1\n1.2\n1.3\n",
}
FROC_ARGUMENTS = [
    "froc", "--annotations", "annotations.csv", "--excluded", "excluded.csv", "--scans",
    "seriesuids.csv", "--predictions", "predictions.csv", "--bootstrap", "10", "--output", "out",
]  # fmt: skip
# A message that shows a fault of the program and not of the input.
INTERNAL = re.compile(r"error: (?!InputError)[A-Z]\w*(Error|Exception|Exit|Interrupt)\b")


def base_scan(folder: Path) -> None:
    tiny.write_scan(folder, SERIES, 0)


def base_dicom(folder: Path) -> None:
    dicom_files.write_series(folder / "ct", size=(12, 16))


def base_image(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        array = np.random.default_rng(0).integers(-1000, 500, (6, 8, 10)).astype(np.int16)
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.7, 0.7, 2.5))
        sitk.WriteImage(image, str(folder / name), name.endswith((".gz", ".nrrd")))

    return write


def base_workflow(folder: Path) -> None:
    for name in ("Snakefile", "rules", "workflow_scripts", "envs", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    tiny.write_cohort(folder)


def base_froc(folder: Path) -> None:
    for name, text in FROC.items():
        (folder / name).write_text(text)


def spoil_text(names: tuple[str, ...]) -> Callable[[Path, random.Random], None]:
    def spoil(folder: Path, generator: random.Random) -> None:
        path = folder / generator.choice(names)
        content = path.read_bytes()
        path.write_bytes(mutate.damage_text(content, generator))

    return spoil


def spoil_bytes(name: str, head: int) -> Callable[[Path, random.Random], None]:
    def spoil(folder: Path, generator: random.Random) -> None:
        path = folder / name
        path.write_bytes(mutate.damage_bytes(path.read_bytes(), generator, head))

    return spoil


def spoil_dicom(folder: Path, generator: random.Random) -> None:
    path = generator.choice(sorted((folder / "ct").iterdir()))
    if generator.random() < 0.7:
        mutate.damage_tag(path, generator)
    else:
        path.write_bytes(mutate.damage_bytes(path.read_bytes(), generator, 700))


def every_mark_is_there(folder: Path, printed: str) -> None:
    told = json.loads(printed)
    text = (folder / f"{SERIES}.xml").read_bytes()
    text = text.replace(b"\0", b"")  # UTF-16
    assert told["marks"] == len(re.findall(rb"<(?:unblindedReadNodule|nonNodule)[\s>]", text))
    assert told["n_kept"] == told["n_nodules"] or told["lost"]
    assert told["depth"] > 0


def every_slice_is_there(folder: Path, printed: str) -> None:
    named = re.findall(r"skipped (\d+) file", (folder / "job.log").read_text())
    assert json.loads(printed)[0] + sum(map(int, named)) == len(list((folder / "ct").iterdir()))


def some_voxels_are_there(folder: Path, printed: str) -> None:
    assert min(json.loads(printed)) > 0


def every_row_is_planned(folder: Path, printed: str) -> None:
    lines = (folder / "scans.tsv").read_text(encoding="utf-8-sig").splitlines()
    rows = [line for line in lines[1:] if line.strip()]
    planned = re.search(r"^annotations +(\d+)$", printed, re.M)
    assert planned is not None, printed
    assert int(planned[1]) == len(rows)


def every_scan_and_nodule_counts(folder: Path, printed: str) -> None:
    froc = json.loads((folder / "out/froc.json").read_text())
    scans = (folder / "seriesuids.csv").read_text(encoding="utf-8-sig").split()
    assert froc["scans"] == len(scans)
    listed = pd.read_csv(folder / "annotations.csv", encoding="utf-8-sig")
    assert froc["nodules"] == len(listed)


def nothing_more(folder: Path, printed: str) -> None:
    assert "Traceback" not in printed


# Number of cases, kind of trial and its arguments, files, damage, what a success must show.
PLAN = ["--dry-run", "--cores", "1", "--workflow-profile", "none"]
GROUPS: dict[str, tuple[int, str, list[Any], Any, Any, Any]] = {
    "xml": (45, "scan", [SERIES], base_scan, spoil_text((f"{SERIES}.xml",)),
            every_mark_is_there),
    "mhd": (35, "scan", [SERIES], base_scan,
            spoil_text((f"{SERIES}.mhd", f"{SERIES}_lungs.mhd")), every_mark_is_there),
    "dicom": (30, "volume", ["ct"], base_dicom, spoil_dicom, every_slice_is_there),
    "nifti": (12, "volume", ["x.nii"], base_image("x.nii"), spoil_bytes("x.nii", HEADER),
              some_voxels_are_there),
    "nifti_gz": (6, "volume", ["x.nii.gz"], base_image("x.nii.gz"), spoil_bytes("x.nii.gz", 40),
                 some_voxels_are_there),
    "nrrd": (12, "volume", ["x.nrrd"], base_image("x.nrrd"), spoil_bytes("x.nrrd", 300),
             some_voxels_are_there),
    "scans": (20, "snakemake", PLAN, base_workflow, spoil_text(("scans.tsv",)),
              every_row_is_planned),
    "config": (20, "snakemake", PLAN, base_workflow, spoil_text(("config.yaml",)), nothing_more),
    "froc": (20, "nodulenet", FROC_ARGUMENTS, base_froc, spoil_text(tuple(FROC)),
             every_scan_and_nodule_counts),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(once: Callable[[str, Callable[[Path], Any]], Path]) -> dict[str, dict[str, Any]]:
    """What became of every case, by its name; its files are in the folder of that name."""
    root = once("spoilt", try_all)
    held = json.loads((root / "results.json").read_text())
    return {name: outcome | {"folder": str(root / name)} for name, outcome in held.items()}


def try_all(root: Path) -> None:
    """Spoil all inputs below `root`, and write what became of them into results.json there."""
    cases = []
    for group, (count, kind, arguments, write, spoil, _) in GROUPS.items():
        (root / group).mkdir()
        write(root / group)
        for number in range(count):
            folder = root / f"{group}-{number}"
            shutil.copytree(root / group, folder, symlinks=True)
            spoil(folder, random.Random(f"{group} {number}"))
            case = {"name": folder.name, "kind": kind, "folder": str(folder)}
            cases.append(case | {"arguments": arguments})
    (root / "cases.json").write_text(json.dumps(cases))
    command = [sys.executable, str(TRIALS), str(root / "cases.json"), str(root / "results.json")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_there_are_two_hundred() -> None:
    assert sum(group[0] for group in GROUPS.values()) == 200


@pytest.mark.parametrize("group", GROUPS)
def test_a_spoilt_input_is_read_whole_or_refused_in_one_line(
    outcomes: dict[str, dict[str, Any]], group: str
) -> None:
    faults = []
    for name, outcome in outcomes.items():
        if name.rpartition("-")[0] == group:
            try:
                check(outcome, GROUPS[group][5])
            except (AssertionError, ValueError) as error:
                faults.append(f"{name}: {outcome['status']} {outcome['printed'][-400:]}: {error}")
    assert not faults, "\n".join(faults)


def check(outcome: dict[str, Any], shows_all: Callable[[Path, str], None]) -> None:
    """Status 0 with everything there, or 1 with one line that is about the input."""
    printed = outcome["printed"]
    assert outcome["status"] in (0, 1)
    assert "Traceback" not in printed
    if outcome["status"] == 0:
        shows_all(Path(outcome["folder"]), printed)
        return
    lines = [line for line in printed.splitlines() if "error" in line.lower() or ": " in line]
    assert lines
    assert not INTERNAL.search(printed)


@pytest.mark.parametrize("number", range(10))
def test_the_command_line_does_the_same(
    outcomes: dict[str, dict[str, Any]], number: int, tmp_path: Path
) -> None:
    name = f"froc-{number}" if number < 6 else f"scans-{number}"
    folder = shutil.copytree(outcomes[name]["folder"], tmp_path / "copy", symlinks=True)
    command = {
        "froc": ["-m", "nodulenet.cli", *FROC_ARGUMENTS],
        "scans": ["-m", "nodulenet.cli", "consensus", "--annotations", "data", "--geometry",
                  "scans.tsv", "--output", "counts.tsv"],
    }[name.partition("-")[0]]  # fmt: skip
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert re.fullmatch(r"nodulenet: [^\n]+\n", done.stderr)
    if name.startswith("froc"):
        assert done.returncode == outcomes[name]["status"]
