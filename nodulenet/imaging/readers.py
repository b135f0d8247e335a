"""Read and write scans: MetaImage, NIfTI, NRRD; DICOM folders through `dicom`."""

import errno
import re
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nodulenet.files import InputError, replacing
from nodulenet.imaging.dicom import read_dicom, sorted_slices
from nodulenet.imaging.grid import Shape
from nodulenet.imaging.itk import as_hu, itk_affine, to_itk
from nodulenet.imaging.volume import Volume
from nodulenet.imaging.volume_data import check_data

IMAGE_SUFFIXES = (".mhd", ".mha", ".nii", ".nii.gz", ".nrrd")
UID_KEYS = ("SeriesInstanceUID", "0020|000e")
META_TYPES = {"int16": "MET_SHORT", "uint8": "MET_UCHAR", "uint16": "MET_USHORT"}


def read_volume(path: Path | str, series_uid: str | None = None) -> Volume:
    """Read a CT: a MetaImage, NIfTI or NRRD file, or the folder of a DICOM series.

    Returns HU (z, y, x) as int16, or as float32 where they are fractions or exceed it. The
    slices of a file keep its order; those of a DICOM series are sorted along their normal, z
    rising. `series_uid` chooses the series of a folder; a file whose header names another
    series is refused. Raises `InputError` naming the file and the fault.
    """
    path = Path(path)
    if path.is_dir():
        return read_dicom(path, series_uid)
    reader = _checked_reader(path, series_uid, deep=True)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read: {last_line(error)}") from error
    array = as_hu(sitk.GetArrayFromImage(image))
    if array.dtype != np.int16 and not np.isfinite(array).all():
        raise InputError(f"{path}: holds voxels that are not numbers")
    return Volume(array, itk_affine(image))


def read_geometry(
    path: Path | str, series_uid: str | None = None
) -> tuple[NDArray[np.float64], Shape]:
    """Affine and shape (z, y, x) of what `read_volume` would return, from headers alone."""
    path = Path(path)
    if path.is_dir():
        slices, affine = sorted_slices(path, series_uid)
        return affine, (len(slices), *slices[0].shape)
    reader = _checked_reader(path, series_uid, deep=False)
    x, y, z = reader.GetSize()
    return itk_affine(reader), (z, y, x)


def _checked_reader(path: Path, series_uid: str | None, *, deep: bool) -> sitk.ImageFileReader:
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        raise InputError(f"{path}: not an image of a known format ({' '.join(IMAGE_SUFFIXES)})")
    check_data(path, deep=deep)
    reader = header_reader(path)
    found = header_series_uid(reader)
    if series_uid and found and found != series_uid:
        raise InputError(f"{path}: its header names series {found}, not {series_uid}")
    return reader


def header_reader(path: Path) -> sitk.ImageFileReader:
    """A reader that has read the header of a 3-D image file with one number a voxel.

    Raises `InputError` naming the file and the fault.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: bad header: {last_line(error)}") from error
    if reader.GetDimension() != 3:
        raise InputError(f"{path}: has {reader.GetDimension()} dimensions, not 3")
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: has {reader.GetNumberOfComponents()} numbers a voxel, not 1")
    affine = itk_affine(reader)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: bad header: spacing {reader.GetSpacing()} or direction")
    return reader


def header_series_uid(reader: sitk.ImageFileReader) -> str | None:
    """The SeriesInstanceUID that an image header names, if any."""
    for key in UID_KEYS:
        if reader.HasMetaDataKey(key):
            return reader.GetMetaData(key).strip()
    return None


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
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        raise InputError(f"{path}: not a format to write ({' '.join(IMAGE_SUFFIXES)})")
    image = to_itk(volume)
    if path.suffix.lower() == ".mhd":
        _write_mhd(image, path, bool(compress), series_uid)
        return
    if series_uid:
        image.SetMetaData(UID_KEYS[0], series_uid)
    if compress is None:
        compress = path.name.lower().endswith((".nii.gz", ".nrrd"))
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
