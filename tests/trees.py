"""Public cohorts as downloaded, in tiny: what their folders and tables look like."""

import json
from pathlib import Path

import numpy as np
import tiny
from numpy.typing import NDArray

from nodulenet.imaging import Volume, write_volume

SHAPE = (4, 6, 8)  # z, y, x
SPACING = (2.0, 1.0, 1.0)
CORNER = (10.0, -40.0, -100.0)  # of the first voxel, LPS x, y, z in mm: not inside if negated
UID = "1.3.6.1.4.1.14519.5.2.1.{}"
LNDB_HEAD = "LNDbID,RadID,RadFindingID,FindingID,x,y,z,AgrLevel,Nodule,Volume,Text"
LUNA25_HEAD = (
    "PatientID,SeriesInstanceUID,StudyDate,CoordX,CoordY,CoordZ,LesionID,AnnotationID,label"
)
DLCS24_HEAD = (
    "patient-id,nodule_id,ct_nifti_file,coordX,coordY,coordZ,w,h,d,Malignant_lbl,benchmark_split"
)


def image(path: Path, array: NDArray | None = None, corner: tuple[float, ...] = CORNER) -> Path:
    """An image file of any format, in standard orientation; by default zeros of SHAPE."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.eye(4)[[2, 1, 0, 3]] * (*SPACING, 1.0)
    affine[:3, 3] = corner
    write_volume(Volume(np.zeros(SHAPE, np.int16) if array is None else array, affine), path)
    return path


def labels(*voxels: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A mask with a voxel (z, y, x) and its neighbour in x for each label (z, y, x, label)."""
    mask = np.zeros(SHAPE, np.uint8)
    for z, y, x, label in voxels:
        mask[z, y, x : x + 2] = label
    return mask


def world(z: float, y: float, x: float) -> tuple[float, float, float]:
    """The LPS position (x, y, z) in mm of a voxel (z, y, x)."""
    return tuple(
        first + step * index
        for first, step, index in zip(CORNER, SPACING[::-1], (x, y, z), strict=True)
    )


def write(path: Path, *lines: str) -> Path:
    """A text file of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def lndb(root: Path) -> Path:
    """Three scans: two readers with a common nodule and a non-nodule each; one reader; none found.

    A fourth is of the test set, without a mask.
    """
    for number in (1, 2, 30, 290):
        image(root / f"data{number % 2}/LNDb-{number:04d}.mhd")
    first = labels((1, 2, 3, 1), (2, 4, 1, 2))
    second = labels((1, 2, 3, 4), (3, 1, 5, 1))
    image(root / "masks/LNDb-0001_rad1.mhd", first)
    image(root / "masks/LNDb-0001_rad2.mhd", second)
    image(root / "masks/LNDb-0002_rad1.mhd", labels((2, 3, 3, 1)))
    image(root / "masks/LNDb-0030_rad1.mhd", labels())
    rows = [
        '1,"1,2","1,4",1,13,-38,-98,2,1,40,5',
        "1,1,2,2,11,-36,-96,0,0,12,5",
        "1,2,1,3,15,-39,-94,0,0,12,5",
        "2,1,1,1,13,-37,-96,1,1,40,5",
    ]
    write(root / "trainset_csv/trainNodules_gt.csv", LNDB_HEAD, *rows)
    write(root / "trainset_csv/trainFolds.csv", "Fold0,Fold1", "1,2", "30")
    return root


def luna25(root: Path) -> Path:
    """Two scans, of three nodules and of one."""
    for number in (1, 2):
        image(root / f"luna25_images/{UID.format(number)}.mha")
    places = [(1, world(1, 2, 3)), (1, world(2, 4, 1)), (1, world(3, 5, 7)), (2, world(0, 0, 0))]
    rows = [
        f"10{number},{UID.format(number)},19990102,{x},{y},{z},1,{k},0"
        for k, (number, (x, y, z)) in enumerate(places)
    ]
    write(root / "LUNA25_Public_Training_Development_Data.csv", LUNA25_HEAD, *rows)
    return root


def dlcs24(root: Path) -> Path:
    """Three scans, one in each split."""
    rows = []
    for number, split in ((1, "train"), (2, "val"), (3, "test")):
        name = f"DLCS_{number:04d}"
        image(root / f"subset0{number}/{name}.nii.gz")
        x, y, z = world(1, 2, 3)
        box = "4.5,3,6.25"
        rows.append(f"{name},{name}_01,{name}.nii.gz,{x},{y},{z},{box},0,{split}")
    write(root / "DLCSD24_Annotations.csv", DLCS24_HEAD, *rows)
    return root


def msd_lung(root: Path) -> Path:
    """Two training pairs, one with two tumours, and a test image."""
    base = root / "Task06_Lung"
    image(base / "imagesTr/lung_001.nii.gz")
    image(base / "labelsTr/lung_001.nii.gz", labels((1, 2, 3, 1), (3, 5, 5, 1)))
    image(base / "imagesTr/lung_003.nii.gz")
    image(base / "labelsTr/lung_003.nii.gz", labels((2, 2, 2, 1)))
    image(base / "imagesTs/lung_002.nii.gz")
    for folder in ("imagesTr", "labelsTr"):
        (base / folder / "._lung_001.nii.gz").write_bytes(b"\0\5\26\7")
    listed = {
        "name": "Lung",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "cancer"},
        "training": [
            {"image": f"./imagesTr/lung_{n}.nii.gz", "label": f"./labelsTr/lung_{n}.nii.gz"}
            for n in ("001", "003")
        ],
        "test": ["./imagesTs/lung_002.nii.gz"],
    }
    write(base / "dataset.json", json.dumps(listed))
    return root


def luna16(root: Path, subsets: int = 10) -> Path:
    """A scan in each subset, lung masks, and the challenge's tables."""
    for number in range(subsets):
        series = UID.format(number + 1)
        image(root / f"subset{number}/{series}.mhd")
        image(root / f"seg-lungs-LUNA16/{series}.mhd", labels((1, 1, 1, 3)))
    x, y, z = world(1, 2, 3)
    head = "seriesuid,coordX,coordY,coordZ,diameter_mm"
    rows = [f"{UID.format(number)},{x},{y},{z},4" for number in (1, 2)]
    write(root / "annotations.csv", head, *rows)
    write(root / "candidates_V2.csv", "seriesuid,coordX,coordY,coordZ,class")
    return root


def lidc(root: Path) -> Path:
    """Two series of DICOM in folders by series, their XML, and a SEG beside the first."""
    import dicom_files

    for number, series in enumerate(tiny.SERIES[:2]):
        folder = root / f"LIDC-IDRI-000{number + 1}/study/CT_{series}"
        folder.mkdir(parents=True)
        for k in range(3):
            tags = {"series": series, "InstanceNumber": k + 1}
            pixels = np.zeros((4, 4), np.int16)
            dicom_files.write_slice(folder / f"{k}.dcm", pixels, (0, 0, 2.0 * k), **tags)
        write(root / f"tcia-lidc-xml/157/{number}.xml", tiny.draw_xml(series))
    return root
