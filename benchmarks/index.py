"""`nodulenet index` on large cohorts: `python -m benchmarks.index`, from the repository's root.

Trees of tiny scans are made in a temporary folder: MetaImage files with LIDC XML (one reader, one
nodule), and the layouts lndb (two masks per scan), luna25, dlcs24 and msd_lung with one nodule per
scan. Each is indexed in a process of its own. Voxels are never read, so that their number does not
matter; DICOM series, whose slices all have headers, are another matter (docs/lidc.md).
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from benchmarks.timing import print_machine

ROOT = Path(__file__).parents[1]
SHAPE = (8, 6, 4)  # x, y, z
XML = (
    '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>{}'
    "</SeriesInstanceUid></ResponseHeader><readingSession><unblindedReadNodule><noduleID>1</noduleID>"
    "<roi><imageZposition>1</imageZposition><inclusion>TRUE</inclusion>{}</roi>"
    "</unblindedReadNodule></readingSession></LidcReadMessage>"
)
EDGES = "".join(
    f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>"
    for x, y in ((1, 1), (3, 1), (3, 3), (1, 3))
)


def main() -> None:
    """Print one line per kind of tree."""
    options = parse()
    print_machine(["numpy", "SimpleITK", "nibabel"])
    print(f"| {options.scans} scans | files | wall | CPU | peak memory |")
    print("| --- | --- | --- | --- | --- |")
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name) / "tree"
            root.mkdir()
            KINDS[kind](root, options.scans)
            files = sum(len(names) for _, _, names in os.walk(root))
            seconds, cpu, megabytes = index(kind, root, options.scans)
        row = (kind, files, f"{seconds:.1f} s", f"{cpu:.1f} s", f"{megabytes:.0f} MB")
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    return parser.parse_args()


def index(kind: str, root: Path, scans: int) -> tuple[float, float, float]:
    """Wall and CPU time in s and peak memory in MB of the command; the table has every scan."""
    output = root.parent / "scans.tsv"
    command = [sys.executable, "-m", "nodulenet.cli", "index", "--output", str(output)]
    if kind == "xml":
        command += ["--ct", str(root), "--annotations", str(root)]
    else:
        command += ["--layout", kind, "--root", str(root)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode or len(output.read_text().splitlines()) != scans + 1:
        sys.exit(f"{kind}: not every scan was indexed")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_meta(path: Path, kind: str = "MET_SHORT") -> None:
    """A MetaImage header and its data, all zeros; .mha: in one file."""
    path.parent.mkdir(exist_ok=True)
    data = bytes(int(np.prod(SHAPE)) * (2 if kind == "MET_SHORT" else 1))
    local = path.suffix == ".mha"
    if not local:
        path.with_suffix(".raw").write_bytes(data)
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\n"
        f"DimSize = {' '.join(map(str, SHAPE))}\nElementType = {kind}\n"
        f"ElementDataFile = {'LOCAL' if local else path.with_suffix('.raw').name}\n"
    )
    path.write_bytes(head.encode() + (data if local else b""))


def nifti() -> bytes:
    """A compressed NIfTI file of zeros whose axes are LPS."""
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([-1.0, -1, 1, 1]))
    return gzip.compress(image.to_bytes(), 1)


def write_xml(root: Path, scans: int) -> None:
    for number in range(scans):
        series = f"1.2.826.{number}"
        write_meta(root / f"ct/{series}.mhd")
        (root / f"ct/{series}.xml").write_text(XML.format(series, EDGES))


def write_lndb(root: Path, scans: int) -> None:
    rows = ["LNDbID,RadID,RadFindingID,FindingID,x,y,z,AgrLevel,Nodule,Volume,Text"]
    for number in range(scans):
        write_meta(root / f"data{number % 6}/LNDb-{number:04d}.mhd")
        for reader in (1, 2):
            write_meta(root / f"masks/LNDb-{number:04d}_rad{reader}.mhd", "MET_UCHAR")
        rows.append(f'{number},"1,2","1,1",1,1,1,1,2,1,30,5')
    (root / "trainNodules_gt.csv").write_text("\n".join(rows) + "\n")


def write_luna25(root: Path, scans: int) -> None:
    rows = ["PatientID,SeriesInstanceUID,StudyDate,CoordX,CoordY,CoordZ,label,AnnotationID"]
    for number in range(scans):
        series = f"1.2.826.{number}"
        write_meta(root / f"luna25_images/{series}.mha")
        rows.append(f"{number},{series},19990102,1.5,2,3,0,{number}_1")
    name = "LUNA25_Public_Training_Development_Data.csv"
    (root / name).write_text("\n".join(rows) + "\n")


def write_dlcs24(root: Path, scans: int) -> None:
    head = "patient-id,nodule_id,ct_nifti_file,coordX,coordY,coordZ,w,h,d,Malignant_lbl"
    rows, content = [f"{head},benchmark_split"], nifti()
    for number in range(scans):
        name, split = f"DLCS_{number:04d}", ("train", "val", "test")[number % 3]
        (root / f"{name}.nii.gz").write_bytes(content)
        rows.append(f"{name},{name}_01,{name}.nii.gz,1.5,2,3,4,5,6,0,{split}")
    (root / "DLCSD24_Annotations.csv").write_text("\n".join(rows) + "\n")


def write_msd_lung(root: Path, scans: int) -> None:
    content, names = nifti(), [f"lung_{number:03d}.nii.gz" for number in range(scans)]
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).write_bytes(content)
    pairs = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    (root / "dataset.json").write_text(json.dumps({"name": "Lung", "training": pairs}))


KINDS: dict[str, Callable[[Path, int], None]] = {
    "xml": write_xml,
    "lndb": write_lndb,
    "luna25": write_luna25,
    "dlcs24": write_dlcs24,
    "msd_lung": write_msd_lung,
}

if __name__ == "__main__":
    main()
