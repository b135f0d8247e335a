"""Read scans: MetaImage, NRRD and NIfTI files; DICOM folders through `dicom`."""

import gzip
import logging
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nodulenet.files import InputError, opening
from nodulenet.imaging.dicom import arrange, read_dicom
from nodulenet.imaging.dicom_series import read_series
from nodulenet.imaging.grid import Shape
from nodulenet.imaging.image_files import IMAGE_SUFFIXES, META, NIFTI, NRRD, image_suffix
from nodulenet.imaging.itk_headers import check_meta, check_nrrd, meta_files, nrrd_files
from nodulenet.imaging.nifti import check_nifti, nifti_place, nifti_voxels
from nodulenet.imaging.orientation import ASSUMED_LPS, square_axes
from nodulenet.imaging.volume import Volume, as_hu

UID_KEYS = ("SeriesInstanceUID", "0020|000e")
UNIT = 1e-3  # by which rounding may change the length of a direction cosine
log = logging.getLogger(__name__)


class SeveralNumbers(InputError):
    """The image has more than three dimensions, or several numbers per voxel."""


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """What the header of an image file says: affine, shape (z, y, x), series, assumptions.

    affine: index (z, y, x, 1) -> LPS (x, y, z, 1) in mm, its axes at right angles. notes: one
    line for each assumption made because the header leaves something open.
    """

    affine: NDArray[np.float64]
    shape: Shape
    series_uid: str | None
    notes: tuple[str, ...]

    @property
    def oriented(self) -> bool:
        """Whether the header says how the axes lie in the patient."""
        return not any(ASSUMED_LPS in note for note in self.notes)


def read_volume(path: Path | str, series_uid: str | None = None) -> Volume:
    """Read a CT: a MetaImage, NIfTI or NRRD file, or the folder of a DICOM series.

    Returns HU (z, y, x) as int16, or as float32 if they are fractions or exceed it. The slices of
    a file keep its order; those of a DICOM series are sorted along their normal, z rising. The
    axes are at right angles; assumptions are logged and in its notes. `series_uid` chooses the
    series of a folder; a file whose header names another series is refused. Raises `InputError`
    naming the file and the fault.
    """
    path = Path(path)
    if path.is_dir():
        return read_dicom(path, series_uid)
    header = _checked_header(path, series_uid, deep=True)
    return Volume(_voxels(path), header.affine, header.notes)


def read_geometry(
    path: Path | str, series_uid: str | None = None
) -> tuple[NDArray[np.float64], Shape]:
    """Affine and shape (z, y, x) of what `read_volume` would return, from headers alone."""
    path = Path(path)
    if path.is_dir():
        slices, affine = arrange(read_series(path, series_uid))
        return affine, (len(slices), *slices[0].shape)
    header = _checked_header(path, series_uid, deep=False)
    return header.affine, header.shape


def image_header(path: Path, *, deep: bool = False) -> ImageHeader:
    """The header of a 3-D image file with one number per voxel, the size of its data checked.

    deep: inflate compressed data for the check. Raises `InputError` naming the file and the
    fault, such as sheared axes.
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
    x, y, z = reader.GetSize()
    affine, corrected = square_axes(path, _itk_affine(path, reader), (z, y, x))
    named = (reader.GetMetaData(key).strip() for key in UID_KEYS if reader.HasMetaDataKey(key))
    return ImageHeader(affine, (z, y, x), next(named, None), notes + corrected)


def check_data(path: Path, *, deep: bool = True) -> tuple[str, ...]:
    """Raise `InputError` if the voxel data of an image file is missing, truncated or corrupt, or
    if SimpleITK would misread its header.

    `deep=False` compares sizes only and inflates nothing. Returns a note for each thing that a
    MetaImage or NRRD header leaves open (`nifti_place` returns those of NIfTI).
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
    with opening(path):
        if suffix in META:
            return meta_files(path)
        return nrrd_files(path) if suffix in NRRD else []


def last_line(error: Exception) -> str:
    """SimpleITK's message without its preamble of several lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^(Reason|ITK ERROR): *", "", lines[-1]) if lines else "unknown fault"


def _checked_header(path: Path, series_uid: str | None, *, deep: bool) -> ImageHeader:
    """The header of the right series, its notes logged."""
    header = image_header(path, deep=deep)
    if series_uid and header.series_uid and header.series_uid != series_uid:
        raise InputError(f"{path}: its header names series {header.series_uid}, not {series_uid}")
    for line in header.notes:
        log.warning("%s: %s", path, line)
    return header


def _itk_reader(path: Path) -> sitk.ImageFileReader:
    """A reader that has read the header of a MetaImage or NRRD file.

    The format is set: SimpleITK does not recognise a MetaImage by a suffix in upper case.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if image_suffix(path).lower() in NRRD else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: bad header: {last_line(error)}") from error
    if reader.GetDimension() != 3:
        raise SeveralNumbers(f"{path}: has {reader.GetDimension()} dimensions, not 3")
    if reader.GetNumberOfComponents() != 1:
        raise SeveralNumbers(
            f"{path}: has {reader.GetNumberOfComponents()} numbers per voxel, not 1"
        )
    return reader


def _itk_affine(path: Path, image: sitk.ImageFileReader) -> NDArray[np.float64]:
    """Affine of a 3-D image: index (z, y, x, 1) -> LPS (x, y, z, 1) in mm.

    The spacing is the image's own, even if its direction cosines are rounded. Raises `InputError`
    if their length is not 1, so that the spacing has two values.
    """
    direction = np.array(image.GetDirection()).reshape(3, 3)
    length = np.linalg.norm(direction, axis=0)
    if not np.allclose(length, 1, atol=UNIT, rtol=0):
        raise InputError(
            f"{path}: bad header: direction cosines have the lengths {length.tolist()}, not 1"
        )
    affine = np.eye(4)
    affine[:3, :3] = (direction / length * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return affine


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
