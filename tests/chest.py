"""A chest known as a formula, sampled on any grid: body, two lungs, and two balls as nodules."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from nodulenet.imaging import Volume

SERIES = "1.2.826.77.1"
LUNGS = ((-38.0, 2.0, 0.0), (38.0, 2.0, 0.0))  # centres in LPS mm: right and left
LUNG_AXES = (28.0, 40.0, 44.0)
# Nothing about them is symmetric, so that a flip shows: in the right and in the left lung.
BALLS = (((-36.0, 16.0, 12.0), 11.0), ((41.0, -12.0, -13.0), 8.0))
SPACING = (3.0, 2.0, 1.8)  # z, y, x
SHAPE = (34, 74, 96)
NODULE_HU = 450


def turned_affine(rotation: NDArray, spacing: tuple[float, ...] = SPACING) -> NDArray[np.float64]:
    """The affine of a grid of SHAPE about the world's origin; rotation: columns z, y, x."""
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    return affine


def sample(affine: NDArray[np.float64], shape: tuple[int, ...] = SHAPE) -> Volume:
    """The chest in HU on a grid."""
    world = grid_world(affine, shape)
    hu = np.full(shape, -1000, np.int16)
    hu[(world[..., 0] / 80) ** 2 + (world[..., 1] / 66) ** 2 < 1] = 0
    for centre in LUNGS:
        inside = (((world - centre) / LUNG_AXES) ** 2).sum(-1) < 1
        hu[inside] = -850
    for number in range(len(BALLS)):
        hu[ball(affine, shape, number)] = NODULE_HU
    return Volume(hu, affine)


def grid_world(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """LPS positions (z, y, x, 3) of a grid's voxels."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def ball(affine: NDArray[np.float64], shape: tuple[int, ...], number: int) -> NDArray[np.bool_]:
    """Where a ball is on a grid."""
    centre, radius = BALLS[number]
    return np.linalg.norm(grid_world(affine, shape) - centre, axis=-1) <= radius


def write_dicom(folder: Path, volume: Volume, series: str = SERIES) -> list[FileDataset]:
    """Write the slices of a volume (HU) as DICOM CT, their files in no order, complete enough
    for other objects to refer to them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _, along_y, along_x = volume.affine[:3, :3].T / volume.spacing[:, None]
    study, frame = generate_uid(), generate_uid()
    written = []
    for number, (plane, name) in enumerate(
        zip(volume.array, np.random.default_rng(3).permutation(len(volume.array)), strict=True)
    ):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{name:03d}.dcm"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
        data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.FrameOfReferenceUID = study, frame
        data.SeriesInstanceUID = series
        data.PatientID, data.PatientName, data.Modality = "P1", "A^B", "CT"
        data.PatientBirthDate = data.PatientSex = data.AccessionNumber = ""
        data.StudyDate, data.StudyTime, data.StudyID = "20200102", "101500", "7"
        data.ReferringPhysicianName = data.PositionReferenceIndicator = ""
        data.SeriesNumber, data.InstanceNumber = 3, len(volume.array) - number
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        position = volume.to_world(np.array([number, 0, 0]))
        data.ImagePositionPatient = [round(float(v), 6) for v in position]
        data.ImageOrientationPatient = [round(float(v), 8) for v in (*along_x, *along_y)]
        data.PixelSpacing = [float(v) for v in volume.spacing[1:]]
        data.SliceThickness = float(volume.spacing[0])
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleIntercept, data.RescaleSlope = -1024, 1
        data.PixelData = (plane + 1024).astype(np.int16).tobytes()
        data.save_as(path)
        written.append(data)
    return written


def keep_segments(source: Path, target: Path, keep: set[int]) -> None:
    """Write a segmentation whose other segments are emptied, as an editor leaves them."""
    data = dcmread(source)
    bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), bitorder="little")
    frame = int(data.Rows) * int(data.Columns)
    for number, group in enumerate(data.PerFrameFunctionalGroupsSequence):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber not in keep:
            bits[number * frame : (number + 1) * frame] = 0
    data.PixelData = np.packbits(bits, bitorder="little").tobytes()
    data.save_as(target)


def check_by_others(path: Path) -> None:
    """`dciodvfy` of Debian's dicom3tools, where it is installed, finds no error in an object."""
    if shutil.which("dciodvfy"):
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert any(line in ("Segmentation", "ComprehensiveSR") for line in said)
        assert [line for line in said if line.startswith("Error")] == []
