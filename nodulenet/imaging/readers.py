"""Read and write scans: MetaImage, NIfTI, NRRD; DICOM folders through `dicom`."""

import errno
import logging
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nodulenet.files import InputError, replacing
from nodulenet.imaging.axes import GUESSED, squared
from nodulenet.imaging.dicom import read_dicom, sorted_slices
from nodulenet.imaging.grid import Shape
from nodulenet.imaging.itk import as_hu, itk_affine, to_itk
from nodulenet.imaging.nifti import nifti_place, nifti_voxels
from nodulenet.imaging.volume import Volume
from nodulenet.imaging.volume_data import (
    IMAGE_SUFFIXES,
    NIFTI,
    NRRD,
    check_data,
    image_suffix,
)

log = logging.getLogger(__name__)

UID_KEYS = ("SeriesInstanceUID", "0020|000e")
META_TYPES = {"int16": "MET_SHORT", "uint8": "MET_UCHAR", "uint16": "MET_USHORT"}


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """What the header of an image file says: place, shape (z, y, x), series, open questions.

    affine: index (z, y, x, 1) -> LPS (x, y, z, 1) in mm, its axes at right angles. notes: a line
    for each thing that was decided because the header leaves it open.
    """

    affine: NDArray[np.float64]
    shape: Shape
    series_uid: str | None
    notes: tuple[str, ...]

    @property
    def oriented(self) -> bool:
        """Whether the header says how the axes lie in the patient."""
        return not any(GUESSED in note for note in self.notes)


def read_volume(path: Path | str, series_uid: str | None = None) -> Volume:
    """Read a CT: a MetaImage, NIfTI or NRRD file, or the folder of a DICOM series.

    Returns HU (z, y, x) as int16, or as float32 where they are fractions or exceed it. The
    slices of a file keep its order; those of a DICOM series are sorted along their normal, z
    rising. The axes are at right angles; what had to be decided is logged and in its notes.
    `series_uid` chooses the series of a folder; a file whose header names another series is
    refused. Raises `InputError` naming the file and the fault.
    """
    path = Path(path)
    if path.is_dir():
        return read_dicom(path, series_uid)
    header = _checked_header(path, series_uid, deep=True)
    _tell(path, header.notes)
    return Volume(_voxels(path), header.affine, header.notes)


def read_geometry(
    path: Path | str, series_uid: str | None = None
) -> tuple[NDArray[np.float64], Shape]:
    """Affine and shape (z, y, x) of what `read_volume` would return, from headers alone."""
    path = Path(path)
    if path.is_dir():
        slices, affine = sorted_slices(path, series_uid)
        return affine, (len(slices), *slices[0].shape)
    header = _checked_header(path, series_uid, deep=False)
    _tell(path, header.notes)
    return header.affine, header.shape


def image_header(path: Path, *, deep: bool = False) -> ImageHeader:
    """The header of a 3-D image file with one number per voxel, its data checked for size.

    deep: inflate compressed data for the check. Raises `InputError` naming the file and the
    fault, among them axes that are sheared.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    suffix = image_suffix(path).lower()
    if not suffix:
        raise InputError(f"{path}: not an image of a known format ({' '.join(IMAGE_SUFFIXES)})")
    notes = check_data(path, deep=deep)
    if suffix in NIFTI:
        affine, shape, notes = nifti_place(path)
        return ImageHeader(affine, shape, None, notes)
    reader = _itk_reader(path)
    try:
        affine = itk_affine(reader)
    except InputError as error:
        raise InputError(f"{path}: bad header: {error}") from error
    x, y, z = reader.GetSize()
    affine, told = squared(path, affine, (z, y, x))
    named = (reader.GetMetaData(key).strip() for key in UID_KEYS if reader.HasMetaDataKey(key))
    return ImageHeader(affine, (z, y, x), next(named, None), notes + told)


def _checked_header(path: Path, series_uid: str | None, *, deep: bool) -> ImageHeader:
    header = image_header(path, deep=deep)
    if series_uid and header.series_uid and header.series_uid != series_uid:
        raise InputError(f"{path}: its header names series {header.series_uid}, not {series_uid}")
    return header


def _itk_reader(path: Path) -> sitk.ImageFileReader:
    """A reader that has read a MetaImage's or NRRD's header.

    The format is told: SimpleITK does not know a MetaImage by a suffix in upper case.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if image_suffix(path).lower() in NRRD else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: bad header: {last_line(error)}") from error
    if reader.GetDimension() != 3:
        raise InputError(f"{path}: has {reader.GetDimension()} dimensions, not 3")
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: has {reader.GetNumberOfComponents()} numbers per voxel, not 1")
    return reader


def _voxels(path: Path) -> NDArray:
    if image_suffix(path).lower() in NIFTI:
        array = nifti_voxels(path)
    else:
        try:
            array = as_hu(sitk.GetArrayFromImage(_itk_reader(path).Execute()))
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be read: {last_line(error)}") from error
    if array.dtype != np.int16 and not np.isfinite(array).all():
        raise InputError(f"{path}: holds voxels that are not numbers")
    return array


def _tell(path: Path, notes: tuple[str, ...]) -> None:
    for line in notes:
        log.warning("%s: %s", path, line)


def last_line(error: Exception) -> str:
    """SimpleITK's message without its preamble of several lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^(Reason|ITK ERROR): *", "", lines[-1]) if lines else "unknown fault"


def write_volume(
    volume: Volume, path: Path | str, *, compress: bool | None = None, series_uid: str | None = None
) -> None:
    """Write a volume as .mhd (with .raw or .zraw), .mha, .nii, .nii.gz or .nrrd.

    compress: by default only .nii.gz and .nrrd are. series_uid: written into the header as
    SeriesInstanceUID where the format has room (MetaImage, NRRD). Raises `InputError` for
    another suffix and for axes that are not at right angles, `OSError` if the file is not whole.
    """
    path = Path(path)
    suffix = image_suffix(path)
    if suffix not in IMAGE_SUFFIXES:  # SimpleITK knows none in upper case
        raise InputError(f"{path}: not a format to write ({' '.join(IMAGE_SUFFIXES)})")
    try:
        image = to_itk(volume)
    except InputError as error:
        raise InputError(f"{path}: not written: {error}") from error
    if suffix == ".mhd":
        _write_mhd(image, path, bool(compress), series_uid)
        return
    if series_uid:
        image.SetMetaData(UID_KEYS[0], series_uid)
    if compress is None:
        compress = suffix in (".nii.gz", ".nrrd")
    with replacing(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), compress)
            # On a full disk SimpleITK cuts NIfTI files short and says nothing.
            check_data(temporary)
        except (RuntimeError, InputError) as error:
            raise OSError(errno.EIO, f"not written whole: {last_line(error)}", str(path)) from error


def _write_mhd(image: sitk.Image, path: Path, compress: bool, series_uid: str | None) -> None:
    """Data file first, header last: SimpleITK would name the data file after a temporary."""
    array = sitk.GetArrayViewFromImage(image)
    element = {**META_TYPES, "float32": "MET_FLOAT"}.get(array.dtype.name)
    if element is None:
        raise InputError(f"{path}: voxels of type {array.dtype} are not written as .mhd")
    data = path.with_suffix(".zraw" if compress else ".raw")
    content = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data
    held = zlib.compress(content) if compress else content
    with replacing(data) as temporary:
        temporary.write_bytes(held)
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compress),
        **({"CompressedDataSize": str(len(held))} if compress else {}),
        "TransformMatrix": _numbers(np.array(image.GetDirection()).reshape(3, 3).T.ravel()),
        "Offset": _numbers(image.GetOrigin()),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(image.GetSpacing()),
        "DimSize": " ".join(map(str, image.GetSize())),
        "ElementType": element,
        **({UID_KEYS[0]: series_uid} if series_uid else {}),
        "ElementDataFile": data.name,
    }
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{key} = {value}\n" for key, value in header.items()))


def _numbers(values: tuple[float, ...] | NDArray) -> str:
    return " ".join(repr(float(value)) for value in values)
