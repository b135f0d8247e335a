"""DICOM series written by pydicom."""

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

AXIAL = (1, 0, 0, 0, 1, 0)


def write_slice(path, pixels, position, orientation=AXIAL, series="1.2.3", **tags):
    """Write one CT slice; pixels (y, x) int16 or uint16, pixel spacing 0.8 (y) and 0.7 (x)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.Modality = "CT"
    data.PatientID = "P1"
    data.SeriesInstanceUID = series
    data.ImagePositionPatient = [float(p) for p in position]
    data.ImageOrientationPatient = list(orientation)
    data.PixelSpacing = [0.8, 0.7]
    data.SliceThickness = 2.5
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = int(pixels.dtype == np.int16)
    data.RescaleIntercept, data.RescaleSlope = -1024, 1
    data.PixelData = pixels.tobytes()
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)
    return data


def write_enhanced(path, pixels, positions, orientation=AXIAL, series="1.2.3", rescale=None):
    """Write an enhanced CT image, a frame for each of `pixels` (n, y, x).

    What all frames have is in the shared functional groups, their positions in their own; with
    `rescale`, one (slope, intercept) per frame, that too.
    """
    data = write_slice(path, pixels[0], positions[0], series=series)
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del data[tag]
    del data.SliceThickness, data.RescaleSlope, data.RescaleIntercept
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.NumberOfFrames = len(pixels)
    data.PixelData = pixels.tobytes()
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=list(orientation))],
        PixelMeasuresSequence=[item(PixelSpacing=[0.8, 0.7], SliceThickness=2.5)],
        CTImageFrameTypeSequence=[item(FrameType=data.ImageType)],
    )
    if rescale is None:
        shared.PixelValueTransformationSequence = [rescaling(1, -1024)]
    frames = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[float(v) for v in position])])
        for position in positions
    ]
    for frame, numbers in zip(frames, rescale or (), strict=bool(rescale)):
        frame.PixelValueTransformationSequence = [rescaling(*numbers)]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = frames
    data.save_as(path)
    return data


def rescaling(slope, intercept):
    """An item of the PixelValueTransformationSequence."""
    return item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")


def item(**tags):
    """A dataset of these tags."""
    data = Dataset()
    for tag, value in tags.items():
        setattr(data, tag, value)
    return data


def write_series(
    folder, heights=(0, 2, 4, 6, 8), orientation=AXIAL, start=(10.0, 20.0, 30.0), size=(4, 6)
):
    """Slices at heights along the normal, file names shuffled; stored values (z, y, x)."""
    folder.mkdir(exist_ok=True)
    axes = np.array(orientation, float).reshape(2, 3)
    normal = np.cross(*axes)
    stored = np.random.default_rng(4).integers(0, 3000, (len(heights), *size)).astype(np.int16)
    names = np.random.default_rng(5).permutation(len(heights))
    for pixels, height, name in zip(stored, heights, names, strict=True):
        position = np.array(start) + height * normal
        write_slice(folder / f"{name}.dcm", pixels, position, orientation)
    return stored
