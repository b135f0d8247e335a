"""Volumes on disk: image files to exchange, and preprocessed scans as memory-mappable arrays."""

import errno
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from nodulenet.files import InputError, own_artefact, read_json, replacing, sha256, write_json
from nodulenet.imaging.image_files import IMAGE_SUFFIXES, image_suffix
from nodulenet.imaging.readers import UID_KEYS, check_data, last_line
from nodulenet.imaging.volume import Volume

META_TYPES = {
    "int16": "MET_SHORT",
    "uint8": "MET_UCHAR",
    "uint16": "MET_USHORT",
    "float32": "MET_FLOAT",
}


def write_volume(
    volume: Volume, path: Path | str, *, compress: bool | None = None, series_uid: str | None = None
) -> None:
    """Write a volume as .mhd (with .raw or .zraw), .mha, .nii, .nii.gz or .nrrd.

    bool becomes uint8. compress: by default only .nii.gz and .nrrd. series_uid: written into the
    header as SeriesInstanceUID if the format allows it (MetaImage, NRRD). Raises `InputError` for
    another suffix and for axes that are not at right angles, `OSError` if the file is incomplete.
    """
    path = Path(path)
    suffix = image_suffix(path)
    if suffix not in IMAGE_SUFFIXES:  # SimpleITK knows none in upper case
        raise InputError(f"{path}: not a format to write ({' '.join(IMAGE_SUFFIXES)})")
    image = _to_itk(volume, path)
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
            # On a full disk SimpleITK truncates NIfTI files silently.
            check_data(temporary)
        except (RuntimeError, InputError) as error:
            raise OSError(errno.EIO, f"not written whole: {last_line(error)}", str(path)) from error


def _to_itk(volume: Volume, path: Path) -> sitk.Image:
    spacing = volume.spacing
    direction = volume.affine[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        raise InputError(
            f"{path}: not written: no image format can store axes that are not at right angles"
        )
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1].tolist())
    image.SetDirection(direction[:, ::-1].ravel().tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    return image


def _write_mhd(image: sitk.Image, path: Path, compress: bool, series_uid: str | None) -> None:
    """Data file first, header last: SimpleITK would give the data file a temporary name."""
    array = sitk.GetArrayViewFromImage(image)
    if array.dtype.name not in META_TYPES:
        raise InputError(f"{path}: voxels of type {array.dtype} are not written as .mhd")
    data = path.with_suffix(".zraw" if compress else ".raw")
    content = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data
    stored = zlib.compress(content) if compress else content
    with replacing(data) as temporary:
        temporary.write_bytes(stored)
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compress),
        **({"CompressedDataSize": str(len(stored))} if compress else {}),
        "TransformMatrix": _numbers(np.array(image.GetDirection()).reshape(3, 3).T.ravel()),
        "Offset": _numbers(image.GetOrigin()),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(image.GetSpacing()),
        "DimSize": " ".join(map(str, image.GetSize())),
        "ElementType": META_TYPES[array.dtype.name],
        **({UID_KEYS[0]: series_uid} if series_uid else {}),
        "ElementDataFile": data.name,
    }
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{key} = {value}\n" for key, value in header.items()))


def _numbers(values: ArrayLike) -> str:
    return " ".join(repr(float(value)) for value in np.asarray(values))


def write_scan(
    outputs: Mapping[str, Path], volume: Volume, labels: NDArray[np.integer], record: dict[str, Any]
) -> None:
    """Write a uint8 volume and its instance labels, (z, y, x), as .npy, and a JSON record.

    outputs: the paths under the names volume, mask and record. The record gets the keys `affine`
    (4x4 as lists, index (z, y, x) to LPS in mm) and `shape`. Raises `ValueError` if volume and
    labels differ in shape.
    """
    if labels.shape != volume.array.shape:
        raise ValueError(f"labels of shape {labels.shape}, volume of {volume.array.shape}")
    for name, array in (("volume", volume.array), ("mask", labels)):
        with replacing(outputs[name]) as temporary, temporary.open("wb") as file:
            _save(np.ascontiguousarray(array), file)
    place = {"affine": volume.affine.tolist(), "shape": list(volume.array.shape)}
    write_json(outputs["record"], {**record, **place})


def _save(array: NDArray, file: BinaryIO) -> None:
    """As `np.save`, which on a full disk reports byte counts instead of the reason."""
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, header)
    file.write(array.data)


def open_scan(
    array_path: Path | str, record_path: Path | str
) -> tuple[NDArray, NDArray[np.float64], dict[str, Any]]:
    """Memory-map a stored array (volume or labels); also return its affine and record.

    Raises `CorruptArtefact` naming the file: missing, damaged, of a type other than uint8 or
    uint16 (z, y, x), or array and record that do not belong together.
    """
    record = read_json(record_path)
    with own_artefact(record_path):
        try:
            affine = np.array(record["affine"], float).reshape(4, 4)
            shape = tuple(int(n) for n in record["shape"])
        except (KeyError, TypeError, ValueError) as error:
            fault = f"{record_path}: not a record of a scan: bad or missing {error}"
            raise InputError(fault) from error
    return map_array(array_path, record_path, shape), affine, record


def map_array(array_path: Path | str, record_path: Path | str, shape: tuple[int, ...]) -> NDArray:
    """Memory-map a stored array (volume or labels) of the shape in its record.

    The file stays open as long as the array lives. Raises `CorruptArtefact` as `open_scan` does.
    """
    # One step makes both, and the steps after it wait for the record.
    with own_artefact(array_path, array_path, record_path):
        array = np.load(array_path, mmap_mode=None if 0 in shape else "r")
        if array.dtype not in (np.uint8, np.uint16) or not array.flags.c_contiguous:
            raise InputError(f"{array_path}: voxels of type {array.dtype}, not uint8 in C order")
        if array.shape != shape:
            raise InputError(
                f"{array_path}: has the shape {array.shape}, {record_path} says {shape}"
            )
        return array


def scan_digest(volume: Volume, labels: NDArray, files: Sequence[Path]) -> str:
    """SHA-256 of all that training and evaluation see of a scan, so that they see a change."""
    whole = hashlib.sha256("".join(map(sha256, files)).encode())
    for array in (volume.affine, volume.array, labels):
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def array_digest(array: NDArray) -> str:
    """SHA-256 of an array's shape and values: the same image gives it, whatever its name."""
    whole = hashlib.sha256(str(array.shape).encode())
    whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()
