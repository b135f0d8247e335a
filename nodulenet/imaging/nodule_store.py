"""The files of a scan's nodules: masks of groups and readers (.npz), findings (.csv)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations import Group
from nodulenet.files import InputError, own_artefact, replacing
from nodulenet.imaging.findings import COLUMNS, OUTLINED
from nodulenet.imaging.grid import Shape
from nodulenet.imaging.masks import Nodule

Cropped = tuple[NDArray[np.bool_], Shape]
GROUP_ARRAYS = ("shapes", "offsets", "bits")
READER_ARRAYS = (
    *("reader_groups", "reader_sessions"),
    *("reader_shapes", "reader_offsets", "reader_bits"),
)


@dataclass(frozen=True, eq=False)
class ReaderMask:
    """What one reader outlined of one group: mask (d, h, w) and (z, y, x) of its first voxel.

    group: position among the scan's groups; session: position of the reading session. Sessions
    of two scans in the same place need not be the same radiologist.
    """

    group: int
    session: int
    mask: NDArray[np.bool_]
    offset: Shape


def write_nodules(
    masks_path: Path | str, table_path: Path | str, groups: Sequence[Group], table: pd.DataFrame
) -> None:
    """Write the masks of all groups and of their readers (.npz) and the findings (.csv).

    The .npz holds cropped masks as packed bits, each of ceil(voxels / 8) bytes: shapes, offsets,
    bits of the groups; reader_groups, reader_sessions, reader_shapes, reader_offsets, reader_bits
    of the readers. Several marks of one reader in a group are united; a group without outlines
    has no reader masks.
    """
    readers = [mask for index, group in enumerate(groups) for mask in reader_masks(index, group)]
    arrays = _packed([(group.mask, group.offset) for group in groups])
    arrays |= {
        f"reader_{name}": array
        for name, array in _packed([(reader.mask, reader.offset) for reader in readers]).items()
    }
    arrays["reader_groups"] = np.array([reader.group for reader in readers], np.int32)
    arrays["reader_sessions"] = np.array([reader.session for reader in readers], np.int32)
    with replacing(masks_path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    with replacing(table_path) as temporary:
        # Fifteen digits: a decimal number of a table of nodules comes out as it went in.
        table.to_csv(temporary, index=False, float_format="%.15g")


def reader_masks(index: int, group: Group) -> list[ReaderMask]:
    """The masks of one group's readers, by session."""
    parts: dict[int, list[Cropped]] = {}
    if group.outlines:
        for (session, _), outline in zip(group.members, group.outlines, strict=True):
            parts.setdefault(session, []).append(outline)
    return [ReaderMask(index, session, *_union(own)) for session, own in sorted(parts.items())]


def read_nodules(
    masks_path: Path | str, table_path: Path | str
) -> tuple[list[Nodule], pd.DataFrame]:
    """The masks of all groups as (label, mask, offset (z, y, x)) and the table of findings.

    Label 0 is a group below the level. Raises `CorruptArtefact` naming the file that is
    missing or malformed, or both where they do not belong together.
    """
    with own_artefact(table_path):
        table = _read_table(Path(table_path))
    with own_artefact(masks_path):
        arrays = _read_arrays(masks_path, GROUP_ARRAYS)
        masks = _unpacked(masks_path, *(arrays[name] for name in GROUP_ARRAYS))
        labels = table.loc[table["kind"].isin(OUTLINED), "label"].tolist()
        if len(labels) != len(masks):
            raise InputError(
                f"{masks_path}: holds {len(masks)} masks, {table_path} lists {len(labels)}"
            )
    nodules = [
        (int(label), mask, offset) for label, (mask, offset) in zip(labels, masks, strict=True)
    ]
    return nodules, table


def read_readers(masks_path: Path | str) -> list[ReaderMask]:
    """The readers' masks of all groups of a scan, by group and session, in the scan's grid.

    Raises `CorruptArtefact` naming the file when it is missing or malformed.
    """
    with own_artefact(masks_path):
        arrays = _read_arrays(masks_path, READER_ARRAYS)
        shapes, offsets, bits = (arrays[f"reader_{name}"] for name in GROUP_ARRAYS)
        masks = _unpacked(masks_path, shapes, offsets, bits)
        numbers = (arrays[f"reader_{name}"].tolist() for name in ("groups", "sessions"))
        return [ReaderMask(*one[:2], *one[2]) for one in zip(*numbers, masks, strict=True)]


def _union(parts: Sequence[Cropped]) -> Cropped:
    """Cropped masks of one grid as one."""
    starts = np.array([offset for _, offset in parts])
    ends = starts + [mask.shape for mask, _ in parts]
    low = starts.min(axis=0)
    union = np.zeros(ends.max(axis=0) - low, np.bool_)
    for (mask, _), start, end in zip(parts, starts - low, ends - low, strict=True):
        union[tuple(map(slice, start, end))] |= mask
    z, y, x = low.tolist()
    return union, (z, y, x)


def _packed(masks: Sequence[Cropped]) -> dict[str, NDArray]:
    bits = [np.packbits(mask.ravel()) for mask, _ in masks]
    return {
        "shapes": np.array([mask.shape for mask, _ in masks], np.int32).reshape(-1, 3),
        "offsets": np.array([offset for _, offset in masks], np.int32).reshape(-1, 3),
        "bits": np.concatenate([np.zeros(0, np.uint8), *bits]),
    }


def _read_arrays(path: Path | str, names: Sequence[str]) -> Mapping[str, NDArray]:
    with np.load(path, allow_pickle=False) as held:
        return {name: held[name] for name in names}


def _unpacked(
    path: Path | str,
    shapes: NDArray[np.int32],
    offsets: NDArray[np.int32],
    bits: NDArray[np.uint8],
) -> list[Cropped]:
    sizes = shapes.prod(axis=1)
    ends = np.cumsum(-(-sizes // 8))
    if len(bits) != (ends[-1] if len(ends) else 0):
        raise InputError(f"{path}: {len(bits)} bytes of bits do not fit the shapes")
    parts = np.split(bits, ends[:-1]) if len(ends) else []
    return [
        (np.unpackbits(part, count=size).reshape(shape).astype(bool), (int(z), int(y), int(x)))
        for part, size, shape, (z, y, x) in zip(parts, sizes, shapes, offsets, strict=True)
    ]


def _read_table(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"{path}: has no column {', '.join(missing)}")
    return table
