"""A scan: an array and where it lies in the patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations import SliceGeometry

NEAR = 1e-6  # voxels within which a position is on a voxel's centre or edge


@dataclass(frozen=True, eq=False)
class Volume:
    """An image with its position in the world.

    array: (z, y, x). affine: 4x4, index (z, y, x, 1) -> LPS (x, y, z, 1) in mm; the centre of
    voxel i is at index i. Direction cosines are part of the affine, so flipped and oblique scans
    need no special case. notes: oddities and assumptions made when it was read, one line each.
    """

    array: NDArray
    affine: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel spacing (z, y, x) in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_world(self, index: NDArray) -> NDArray[np.float64]:
        """Voxel indices (..., 3) as (z, y, x) -> LPS positions (..., 3) as (x, y, z) in mm."""
        return np.asarray(index, float) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, world: NDArray) -> NDArray[np.float64]:
        """LPS positions (..., 3) as (x, y, z) in mm -> voxel indices (..., 3) as (z, y, x)."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return (np.asarray(world, float) - self.affine[:3, 3]) @ inverse.T

    def contains(self, world: NDArray) -> NDArray[np.bool_]:
        """Whether LPS positions (..., 3) as (x, y, z) in mm lie in one of its voxels."""
        index = self.to_voxel(world)
        beyond = np.maximum(-0.5 - index, index - np.array(self.array.shape) + 0.5)
        return np.asarray(beyond.max(axis=-1) <= NEAR)

    def slice_z(self) -> NDArray[np.float64]:
        """World z in mm of the first voxel of every slice, in array order, shape (Z,)."""
        corners = np.zeros((self.array.shape[0], 3))
        corners[:, 0] = np.arange(len(corners))
        return self.to_world(corners)[:, 2]

    def slice_geometry(self) -> SliceGeometry:
        """Its slices as the images that readers drew on."""
        return SliceGeometry(self.slice_z(), self.array.shape[1:])


def blank(affine: NDArray[np.float64], shape: tuple[int, int, int] = (0, 0, 0)) -> Volume:
    """A volume with this affine and shape whose voxels are one zero and take no memory."""
    return Volume(np.broadcast_to(np.int16(0), shape), affine)


def as_hu(array: NDArray) -> NDArray:
    """HU as int16 if all are integers within its range, else as float32."""
    if array.dtype == np.int16:
        return array
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32, copy=False)
    limits = np.iinfo(np.int16)
    if array.size and limits.min <= array.min() and array.max() <= limits.max:
        return array.astype(np.int16)
    return array.astype(np.float32)
