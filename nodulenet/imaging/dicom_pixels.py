"""The pixels of DICOM slices: stored values, and HU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.dicom_header import count_of, guarded
from nodulenet.imaging.dicom_slices import Slice
from nodulenet.imaging.volume import as_hu

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LARGE = 1 << 15  # its product with a stored 16-bit value fits an int32
PIXEL_TAGS = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


def read_pixels(slices: Sequence[Slice]) -> NDArray:
    """HU of slices, (z, y, x): stored values times slope plus intercept, as int16 or float32.

    A file of several frames is decoded once. Raises `InputError` naming the file.
    """
    planes: dict[int, NDArray] = {}
    files: dict[Path, list[int]] = {}
    for index, item in enumerate(slices):
        files.setdefault(item.path, []).append(index)
    for path, indices in files.items():
        own = [slices[index] for index in indices]
        for index, item, stored in zip(indices, own, stored_values(path, own), strict=True):
            planes[index] = _hu(item, stored)
    kind = np.result_type(*(plane.dtype for plane in planes.values()))
    return np.stack([planes[index].astype(kind, copy=False) for index in range(len(slices))])


def stored_values(path: Path, slices: Sequence[Slice]) -> Iterator[NDArray]:
    """The stored values (y, x) of slices of one file. Raises `InputError` naming it."""
    import pydicom

    with guarded(f"{path}: its pixels cannot be read"):
        data = pydicom.dcmread(path)
        _check_description(data, path)
        if _by_itk(data):
            yield from (_decoded_by_itk(data, item.frame) for item in slices)
            return
        _check_length(data, slices[0])
        stored = data.pixel_array
        yield from (
            stored if s.frame is None or stored.ndim == 2 else stored[s.frame] for s in slices
        )


def _hu(item: Slice, stored: NDArray) -> NDArray:
    if stored.shape != item.shape:
        raise InputError(
            f"{item.name()}: its pixels are {stored.shape}, its Rows and Columns {item.shape}"
        )
    slope, intercept = item.slope, item.intercept
    small = stored.dtype.itemsize <= 2 and abs(slope) + abs(intercept) < LARGE
    if slope.is_integer() and intercept.is_integer() and small:
        return as_hu(stored.astype(np.int32) * int(slope) + int(intercept))
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _check_description(data: Dataset, path: Path) -> None:
    """Refuse what no CT is stored as: with too few bits wrong values would be read."""
    allocated = count_of(data, "BitsAllocated", path)
    stored = count_of(data, "BitsStored", path)
    if stored > allocated:
        raise InputError(f"{path}: its BitsStored is {stored}, its BitsAllocated {allocated}")
    count_of(data, "PixelRepresentation", path)
    count_of(data, "SamplesPerPixel", path)


def _check_length(data: Dataset, item: Slice) -> None:
    """Refuse pixel data with a row or more left over: Rows or Columns must be wrong."""
    if data.file_meta.TransferSyntaxUID.is_compressed:
        return
    row = item.shape[1] * data.BitsAllocated // 8
    wanted = item.shape[0] * row * int(data.get("NumberOfFrames") or 1)
    if len(data.PixelData) >= wanted + max(row, 2):
        raise InputError(
            f"{item.path}: its PixelData has {len(data.PixelData)} bytes, its Rows, Columns and"
            f" BitsAllocated say {wanted}"
        )


def _by_itk(data: Dataset) -> bool:
    """Whether pydicom needs extra packages to decode it: SimpleITK has those decoders built in."""
    from pydicom import uid

    jpeg = (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes, *uid.JPEG2000TransferSyntaxes)
    return data.file_meta.TransferSyntaxUID in jpeg


def _decoded_by_itk(data: Dataset, frame: int | None) -> NDArray:
    """One compressed frame, decoded from a temporary file with nothing but its pixels.

    From the file itself, SimpleITK would rescale the values by a rule of its own.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate, get_frame
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    content = get_frame(
        data.PixelData, frame or 0, number_of_frames=int(data.get("NumberOfFrames") or 1)
    )
    single = Dataset()
    for tag in PIXEL_TAGS:
        single[tag] = data[tag]
    single.SOPClassUID, single.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    single.PixelData = encapsulate([content])
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.dcm")
        single.save_as(path, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
