"""Is an image file whole, and does its header say where it lies?"""

import gzip
import zlib
from pathlib import Path

from nodulenet.files import InputError
from nodulenet.imaging.metaimage import check_meta, meta_files
from nodulenet.imaging.nifti import check_nifti
from nodulenet.imaging.nrrd import check_nrrd, nrrd_files

META = (".mhd", ".mha")
NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd",)
IMAGE_SUFFIXES = (*META, *NIFTI, *NRRD)


def image_suffix(path: Path) -> str:
    """The suffix of an image file of a known format, as it is written; empty for other files."""
    found = [suffix for suffix in IMAGE_SUFFIXES if path.name.lower().endswith(suffix)]
    return path.name[-len(max(found, key=len)) :] if found else ""


def check_data(path: Path, *, deep: bool = True) -> tuple[str, ...]:
    """Raise `InputError` if the voxel data of an image file is missing, cut short or corrupt, or
    its header one that SimpleITK would misread.

    `deep=False` compares sizes only and inflates nothing. Returns a line for each thing that a
    MetaImage or NRRD header leaves open (`nifti_place` has those of NIfTI).
    """
    suffix = image_suffix(path).lower()
    try:
        if suffix in META:
            return check_meta(path, deep=deep)
        if suffix in NRRD:
            return check_nrrd(path, deep=deep)
        if suffix in NIFTI:
            check_nifti(path, deep=deep)
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: its compressed data is cut short or corrupt") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    return ()


def data_files(path: Path) -> list[Path]:
    """The files beside an image file that hold its voxels. Raises `InputError`."""
    suffix = image_suffix(path).lower()
    try:
        if suffix in META:
            return meta_files(path)
        return nrrd_files(path) if suffix in NRRD else []
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
