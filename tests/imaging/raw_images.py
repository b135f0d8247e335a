"""Image files written byte by byte, by no library that the package reads them with.

Every writer takes a path, the stored values (k, j, i) and a grid: the directions of i, j and k in
LPS (rows), their steps in mm, and the place of the first voxel.
"""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

TYPES = {"int16": (4, "MET_SHORT"), "uint16": (512, "MET_USHORT"), "float32": (16, "MET_FLOAT")}
RAS = np.array([-1.0, -1, 1])


@dataclass(frozen=True)
class Grid:
    """directions: rows are those of i, j, k in LPS; steps in mm; origin in LPS mm."""

    directions: NDArray[np.float64]
    steps: tuple[float, float, float] = (0.7, 0.8, 2.5)
    origin: tuple[float, float, float] = (10.0, 20.0, 30.0)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Rows: from a voxel to the next along i, j, k, LPS mm."""
        return self.directions * np.array(self.steps)[:, None]


def numbers(values: object) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def write_nifti(path: Path, stored: NDArray, grid: Grid | None, **header: object) -> None:
    """A NIfTI-1 (or, two=True, NIfTI-2) file; sform and qform are those of `grid`.

    header: sform, qform, units and datatype (codes), srow (3, 4), quaternion and qoffset (RAS) in
    place of the grid's, slope, inter, offset, pixdim, order ("<" or ">"), sizes (dim).
    """
    order = str(header.get("order", "<"))
    real, offset = ("d", 544) if header.get("two") else ("f", 352)
    sizes = header.get("sizes", stored.shape[::-1])
    dim = [len(sizes), *sizes, *[1] * (7 - len(sizes))]
    srow, quaternion, qoffset, qfac = np.zeros((3, 4)), (0, 0, 0), (0, 0, 0), 1
    steps = (1.0, 1, 1)
    if grid is not None:
        steps = grid.steps
        srow = np.column_stack([(grid.edges * RAS).T, RAS * grid.origin])
        turn = (grid.directions * RAS).T
        qfac = 1 if np.linalg.det(turn) > 0 else -1
        quaternion = Rotation.from_matrix(turn * [1, 1, qfac]).as_quat(canonical=True)[:3]
        qoffset = srow[:, 3]
    pixdim = [qfac, *header.get("pixdim", steps), 0, 0, 0, 0]
    bits = stored.dtype.itemsize * 8
    head = bytearray(offset)
    places = NIFTI2 if header.get("two") else NIFTI1
    fields = {
        "size": (540 if header.get("two") else 348,),
        "magic": (b"n+2\0\r\n\x1a\n" if header.get("two") else b"n+1\0",),
        "dim": dim,
        "datatype": (header.get("datatype", TYPES[stored.dtype.name][0]), bits),
        "pixdim": pixdim,
        "offset": (header.get("offset", offset),),
        "scale": (header.get("slope", 1), header.get("inter", 0)),
        "units": (header.get("units", 2),),
        "codes": (header.get("qform", 0), header.get("sform", 1)),
        "quaternion": header.get("quaternion", quaternion),
        "qoffset": header.get("qoffset", qoffset),
        "srow": np.ravel(header.get("srow", srow)),
    }
    for name, (start, kind) in places.items():
        struct.pack_into(order + kind.replace("r", real), head, start, *fields[name])
    data = bytes(head) + stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(gzip.compress(data) if path.name.lower().endswith(".gz") else data)


NIFTI1 = {
    "size": (0, "i"),
    "dim": (40, "8h"),
    "datatype": (70, "2h"),
    "pixdim": (76, "8r"),
    "offset": (108, "f"),
    "scale": (112, "2r"),
    "units": (123, "B"),
    "codes": (252, "2h"),
    "quaternion": (256, "3r"),
    "qoffset": (268, "3r"),
    "srow": (280, "12r"),
    "magic": (344, "4s"),
}
NIFTI2 = {
    "size": (0, "i"),
    "magic": (4, "8s"),
    "datatype": (12, "2h"),
    "dim": (16, "8q"),
    "pixdim": (104, "8r"),
    "offset": (168, "q"),
    "scale": (176, "2r"),
    "codes": (344, "2i"),
    "quaternion": (352, "3r"),
    "qoffset": (376, "3r"),
    "srow": (400, "12r"),
    "units": (500, "i"),
}


def write_meta(path: Path, stored: NDArray, grid: Grid, **header: str) -> None:
    """A MetaImage; without ElementDataFile among `header` its voxels are LOCAL.

    header: keys in place of the usual ones; None takes a key away. Data files are not written.
    """
    big = header.get("BinaryDataByteOrderMSB") == "True"
    keys = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "TransformMatrix": numbers(grid.directions),
        "Offset": numbers(grid.origin),
        "ElementSpacing": numbers(grid.steps),
        "DimSize": " ".join(map(str, stored.shape[::-1])),
        "ElementType": TYPES[stored.dtype.name][1],
        **header,
    }
    named = keys.pop("ElementDataFile", "LOCAL")
    text = "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None)
    data = stored.astype(stored.dtype.newbyteorder(">" if big else "<")).tobytes()
    content = f"{text}ElementDataFile = {named}\n".encode()
    path.write_bytes(content + data * (named == "LOCAL"))


def write_nrrd(path: Path, stored: NDArray, grid: Grid, **header: str | None) -> None:
    """An NRRD; `space` (LPS, RAS or LAS, long or short) turns the numbers, not the place.

    header: fields (with _ for blanks) in place of the usual ones; None takes a field away.
    """
    space = str(header.get("space") or "LPS")
    space = "LPS" if space == "scanner-xyz" else space
    short = space if len(space) == 3 else "".join(word[0] for word in space.split("-")).upper()
    signs = np.array([1 if a == b else -1 for a, b in zip(short, "LPS", strict=True)])
    vectors = [f"({','.join(repr(float(v)) for v in row * signs)})" for row in grid.edges]
    origin = ",".join(repr(float(v)) for v in signs * grid.origin)
    fields = {
        "type": stored.dtype.name.replace("float32", "float"),
        "dimension": "3",
        "space": space,
        "sizes": " ".join(map(str, stored.shape[::-1])),
        "space_directions": " ".join(vectors),
        "endian": "little",
        "encoding": "raw",
        "space_origin": f"({origin})",
        **header,
    }
    text = "".join(
        f"{key.replace('_', ' ')}: {value}\n" for key, value in fields.items() if value is not None
    )
    data = stored.astype(stored.dtype.newbyteorder("><"[fields["endian"] == "little"])).tobytes()
    data = gzip.compress(data) if fields["encoding"] == "gzip" else data
    end = b"" if str(fields.get("data_file")).startswith("LIST") else b"\n"
    path.write_bytes(f"NRRD0005\n{text}".encode() + end + data * ("data_file" not in fields))
