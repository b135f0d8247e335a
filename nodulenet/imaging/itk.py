"""SimpleITK images and volumes: the same numbers, the axes in the other order."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.volume import Volume

UNIT = 1e-3  # by which rounding may change the length of a direction cosine


def itk_affine(image: sitk.Image | sitk.ImageFileReader) -> NDArray[np.float64]:
    """Affine of a 3-D image: index (z, y, x, 1) -> LPS (x, y, z, 1) in mm.

    The spacing is the image's own, also where its direction cosines are rounded. Raises
    `InputError` where their length is not 1, so that the spacing has two values.
    """
    direction = np.array(image.GetDirection()).reshape(3, 3)
    length = np.linalg.norm(direction, axis=0)
    if not np.allclose(length, 1, atol=UNIT, rtol=0):
        raise InputError(f"direction cosines have the lengths {length.tolist()}, not 1")
    affine = np.eye(4)
    affine[:3, :3] = (direction / length * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return affine


def to_itk(volume: Volume) -> sitk.Image:
    """The image of a volume; bool becomes uint8. Raises `InputError` where its axes are skew."""
    spacing = volume.spacing
    direction = volume.affine[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        raise InputError("the volume's axes are not at right angles: no image format holds that")
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1].tolist())
    image.SetDirection(direction[:, ::-1].ravel().tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    return image


def as_hu(array: NDArray) -> NDArray:
    """HU as int16 if all are whole numbers within its range, else as float32."""
    if array.dtype == np.int16:
        return array
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32, copy=False)
    limits = np.iinfo(np.int16)
    if array.size and limits.min <= array.min() and array.max() <= limits.max:
        return array.astype(np.int16)
    return array.astype(np.float32)
