"""NIfTI files, read with nibabel: position from sform or qform, voxels in HU.

SimpleITK would take the spacing from `pixdim` despite an sform, apply the intercept when the slope
is 0, and read NaN as 0. nibabel is imported where a file is opened: it is slow to import.
"""

from __future__ import annotations

import gzip
import math
import struct
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.grid import Shape
from nodulenet.imaging.image_files import remaining_size, require_size
from nodulenet.imaging.orientation import ASSUMED_LPS, ASSUMED_ORIGIN, largest_shift, square_axes
from nodulenet.imaging.volume import as_hu

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

SCANNER = 1  # the code of a form in scanner coordinates
AGREE = 0.1  # mm by which sform and qform may differ without a note
MAGIC = (b"n+1", b"n+2")
UNITS = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}  # unknown (taken as mm), m, mm, micrometres
EXACT = 1 << 24  # float32 is exact for integers up to here


def check_nifti(path: Path, *, deep: bool = True) -> None:
    """Raise `InputError` if the voxels of a NIfTI file are missing, cut short or corrupt.

    `deep=False` inflates nothing.
    """
    with _opened(path) as file:
        header = _header(path, file)
        wanted = math.prod(_shape(path, header)) * header.get_data_dtype().itemsize
        wanted += header.get_data_offset()
        if not _compressed(path):
            require_size(path, path.stat().st_size, wanted)
        elif deep:
            require_size(path, file.tell() + remaining_size(file, wanted), wanted, "at least ")


def nifti_place(path: Path) -> tuple[NDArray[np.float64], Shape, tuple[str, ...]]:
    """Affine (index z, y, x, 1 -> LPS mm), shape (z, y, x), and a note for each assumption.

    ITK's rule: the sform if it is in scanner coordinates (code 1) or there is no qform, else the
    qform. The sform's own spacing counts, whatever `pixdim` says. With neither, the axes are
    assumed to be LPS with the spacing of `pixdim`, the first voxel at 0. Raises `InputError` for
    an impossible header and for a sheared sform, even beside a valid qform.
    """
    with _opened(path) as file:
        header = _header(path, file)
    x, y, z = _shape(path, header)
    shape = (z, y, x)
    forms: dict[str, NDArray[np.float64]] = {}
    notes: tuple[str, ...] = ()
    for name in ("sform", "qform"):
        try:
            forms[name], corrected = square_axes(path, _form(path, header, name), shape, name)
            notes += corrected
        except _NotSet as reason:
            notes += (str(reason),) if str(reason) else ()
    if not forms:
        affine = np.eye(4)
        affine[:3, :3] = np.fliplr(np.diag(_spacing(path, header)))
        notes += (f"has neither sform nor qform: {ASSUMED_LPS}, {ASSUMED_ORIGIN}",)
        return affine, shape, notes
    chosen = "qform" if "qform" in forms and header["sform_code"] != SCANNER else "sform"
    return forms[chosen], shape, notes + _conflicts(path, header, forms, chosen)


def nifti_voxels(path: Path) -> NDArray:
    """The voxels (z, y, x) of a NIfTI file in HU: stored values times slope plus intercept.

    A slope of 0 means no scaling, whatever the intercept. NaN stays NaN. Raises `InputError`.
    """
    from nibabel.spatialimages import HeaderDataError
    from nibabel.volumeutils import array_from_file

    with _opened(path) as file:
        header = _header(path, file)
        shape, kind = _shape(path, header), header.get_data_dtype()
        try:
            slope, intercept = header.get_slope_inter()
            stored = array_from_file(shape, kind, file, header.get_data_offset(), mmap=False)
        except (HeaderDataError, OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
    return _scaled(stored.T, 1.0 if slope is None else slope, intercept or 0.0)


def _scaled(stored: NDArray, slope: float, intercept: float) -> NDArray:
    if (slope, intercept) == (1, 0):
        return as_hu(stored)
    small = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2
    whole = slope.is_integer() and intercept.is_integer()
    if small and whole and abs(slope) * (1 << 16) + abs(intercept) < EXACT:
        return as_hu(stored.astype(np.int32) * int(slope) + int(intercept))
    return (stored * np.float64(slope) + np.float64(intercept)).astype(np.float32)


def _compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _opened(path: Path) -> BufferedIOBase:
    return gzip.open(path) if _compressed(path) else path.open("rb")


def _header(path: Path, file: BufferedIOBase) -> Nifti1Header:
    """The header as it is: nibabel's own check would silently repair some faults."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.spatialimages import HeaderDataError

    head = file.read(4)
    for kind in (Nifti1Header, Nifti2Header):
        if head in (struct.pack("<i", kind.sizeof_hdr), struct.pack(">i", kind.sizeof_hdr)):
            head += file.read(kind.sizeof_hdr - 4)
            break
    if len(head) != kind.sizeof_hdr:
        raise InputError(f"{path}: no NIfTI header")
    header = kind(head, check=False)
    if header["magic"].item() not in MAGIC:
        raise InputError(f"{path}: no NIfTI header, or one of two files (.hdr, .img)")
    try:
        if header.get_data_dtype().kind not in "iuf":
            raise ValueError("its voxels are not one real number each")
        if header.get_data_offset() < kind.sizeof_hdr:
            raise ValueError("its voxels begin within it")
    except KeyError as error:
        raise InputError(f"{path}: bad header: no data type has the code {error}") from error
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: bad header: {error}") from error
    return header


def _shape(path: Path, header: Nifti1Header) -> tuple[int, int, int]:
    """The three sizes (x, y, z); further sizes of 1 do not count."""
    sizes = [int(size) for size in header["dim"][1 : int(header["dim"][0]) + 1]]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) != 3:
        raise InputError(f"{path}: has {len(sizes)} dimensions, not 3")
    if min(sizes) < 1:
        raise InputError(f"{path}: bad header: its dimensions are {sizes}")
    return sizes[0], sizes[1], sizes[2]


class _NotSet(Exception):
    """The header does not have this form; the text is a note, if one is due."""


def _form(path: Path, header: Nifti1Header, name: str) -> NDArray[np.float64]:
    """The affine (index z, y, x, 1 -> LPS mm) of an sform or qform. Raises `_NotSet`."""
    from nibabel.spatialimages import HeaderDataError

    if header[f"{name}_code"] <= 0:
        raise _NotSet
    try:
        ras = header.get_sform() if name == "sform" else header.get_qform()
    except (HeaderDataError, ValueError) as error:
        if header["sform_code"] <= 0:
            raise InputError(f"{path}: bad header: its qform is not a rotation: {error}") from error
        raise _NotSet("its qform is not a rotation and is ignored") from error
    lps = np.diag([-1.0, -1, 1, 1]) @ ras
    lps[:3] *= _millimetres(path, header)
    return lps[:, [2, 1, 0, 3]]


def _millimetres(path: Path, header: Nifti1Header) -> float:
    code = int(header["xyzt_units"]) & 7
    if code not in UNITS:
        raise InputError(f"{path}: bad header: no unit of length has the code {code}")
    return UNITS[code]


def _spacing(path: Path, header: Nifti1Header) -> NDArray[np.float64]:
    """The spacing (x, y, z) in mm of `pixdim`."""
    spacing = header["pixdim"][1:4].astype(float) * _millimetres(path, header)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise InputError(f"{path}: bad header: spacing {spacing.tolist()} is not above 0")
    return spacing


def _conflicts(
    path: Path, header: Nifti1Header, forms: dict[str, NDArray[np.float64]], chosen: str
) -> tuple[str, ...]:
    """A note if the form that was not chosen, or `pixdim`, disagrees."""
    if len(forms) == 2:
        x, y, z = _shape(path, header)
        apart = largest_shift(forms["sform"], forms["qform"], (z, y, x))
        if apart > AGREE:
            codes = f"codes {int(header['sform_code'])} and {int(header['qform_code'])}"
            return (
                f"its sform and qform ({codes}) place voxels up to {apart:.3g} mm apart:"
                f" the {chosen} is taken",
            )
    elif chosen == "sform":
        own = np.linalg.norm(forms[chosen][:3, 2::-1], axis=0)
        stated = header["pixdim"][1:4].astype(float) * _millimetres(path, header)
        if not np.allclose(own, stated, rtol=1e-3, atol=1e-3):
            return (
                f"its sform has the spacing {np.round(own, 4).tolist()} mm, its pixdim"
                f" {np.round(stated, 4).tolist()}: the sform is taken",
            )
    return ()
