"""DICOM series written by pydicom."""

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

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
