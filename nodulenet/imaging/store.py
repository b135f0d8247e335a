"""Preprocessed scans on disk: memory-mappable arrays with a JSON record."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError, own_artefact, read_json, replacing, write_json
from nodulenet.imaging.volume import Volume


def write_scan(
    array_path: Path | str,
    record_path: Path | str,
    mask_path: Path | str,
    volume: Volume,
    labels: NDArray[np.integer],
    record: dict[str, Any],
) -> None:
    """Write a uint8 volume and its instance labels, (z, y, x), as .npy and a JSON record.

    The record gets the keys `affine` (4x4 as lists, index (z, y, x) to LPS in mm) and `shape`.
    Raises `ValueError` if volume and labels are not of one shape.
    """
    if labels.shape != volume.array.shape:
        raise ValueError(f"labels of shape {labels.shape}, volume of {volume.array.shape}")
    for path, array in ((array_path, volume.array), (mask_path, labels)):
        with replacing(path) as temporary, temporary.open("wb") as file:
            _save(np.ascontiguousarray(array), file)
    place = {"affine": volume.affine.tolist(), "shape": list(volume.array.shape)}
    write_json(record_path, {**record, **place})


def _save(array: NDArray, file: BinaryIO) -> None:
    """What `np.save` does, which on a full disk counts the bytes and does not say why."""
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, header)
    file.write(array.data)


def open_scan(
    array_path: Path | str, record_path: Path | str
) -> tuple[NDArray, NDArray[np.float64], dict[str, Any]]:
    """Memory-map a stored array (volume or labels) with the affine and record beside it.

    Raises `CorruptArtefact` naming the file that is missing or damaged, of
    another type than uint8 or uint16 (z, y, x), or array and record that do not belong together.
    """
    record = read_json(record_path)
    with own_artefact(record_path):
        try:
            affine = np.array(record["affine"], float).reshape(4, 4)
            shape = tuple(int(n) for n in record["shape"])
        except (KeyError, TypeError, ValueError) as error:
            fault = f"{record_path}: no record of a scan: bad or missing {error}"
            raise InputError(fault) from error
    return map_array(array_path, record_path, shape), affine, record


def map_array(array_path: Path | str, record_path: Path | str, shape: tuple[int, ...]) -> NDArray:
    """Memory-map a stored array (volume or labels) of the shape that its record says.

    The file stays open as long as the array lives. Raises `CorruptArtefact` as `open_scan` does.
    """
    # One step makes both, and the steps after it wait for the record.
    with own_artefact(array_path, array_path, record_path):
        return _mapped(array_path, shape, record_path)


def _mapped(array_path: Path | str, shape: tuple[int, ...], record_path: Path | str) -> NDArray:
    array = np.load(array_path, mmap_mode=None if 0 in shape else "r")
    if array.dtype not in (np.uint8, np.uint16) or not array.flags.c_contiguous:
        raise InputError(f"{array_path}: voxels of type {array.dtype}, not uint8 in C order")
    if array.shape != shape:
        raise InputError(f"{array_path}: has the shape {array.shape}, {record_path} says {shape}")
    return array
