"""The files of a scan's nodules: masks of groups and readers (.npz), findings (.csv)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nodulenet.annotations import Group
from nodulenet.files import InputError, own_artefact, replacing, require_columns
from nodulenet.imaging.findings import COLUMNS, OUTLINED
from nodulenet.imaging.masks import Nodule
from nodulenet.masks import CroppedMask, pack_masks, union, unpack_masks


@dataclass(frozen=True, eq=False)
class ReaderMask:
    """What one reader outlined of one group, in the scan's grid.

    group: position among the scan's groups; session: position of the reading session. Sessions at
    the same position in two scans need not be by the same radiologist.
    """

    group: int
    session: int
    mask: CroppedMask


def write_nodules(
    masks_path: Path | str, table_path: Path | str, groups: Sequence[Group], table: pd.DataFrame
) -> None:
    """Write the masks of all groups and of their readers (.npz) and the findings (.csv).

    The .npz holds the arrays of `pack_masks`: shapes, offsets, bits of the groups; reader_shapes,
    reader_offsets, reader_bits of the readers, with reader_groups and reader_sessions. Several
    marks of one reader in a group are united; a group without outlines has no reader masks.
    """
    readers = [mask for index, group in enumerate(groups) for mask in reader_masks(index, group)]
    arrays = pack_masks(group.cropped for group in groups)
    of_readers = pack_masks(reader.mask for reader in readers)
    arrays |= {f"reader_{name}": array for name, array in of_readers.items()}
    arrays["reader_groups"] = np.array([reader.group for reader in readers], np.int32)
    arrays["reader_sessions"] = np.array([reader.session for reader in readers], np.int32)
    with replacing(masks_path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    with replacing(table_path) as temporary:
        # Fifteen digits: a decimal number of a table of nodules comes out as it went in.
        table.to_csv(temporary, index=False, float_format="%.15g")


def reader_masks(index: int, group: Group) -> list[ReaderMask]:
    """The masks of one group's readers, by session."""
    parts: dict[int, list[CroppedMask]] = {}
    if group.outlines:
        for (session, _), outline in zip(group.members, group.outlines, strict=True):
            parts.setdefault(session, []).append(outline)
    return [ReaderMask(index, session, union(own)) for session, own in sorted(parts.items())]


def read_nodules(
    masks_path: Path | str, table_path: Path | str
) -> tuple[list[Nodule], pd.DataFrame]:
    """The masks of all groups as (label, mask), and the table of findings.

    Label 0 is a group below the level. Raises `CorruptArtefact` naming the file that is
    missing or malformed, or both where they do not belong together.
    """
    with own_artefact(table_path):
        table = pd.read_csv(table_path)
        require_columns(table, COLUMNS, table_path)
    with own_artefact(masks_path):
        with np.load(masks_path, allow_pickle=False) as arrays:
            masks = unpack_masks(arrays)
        labels = table.loc[table["kind"].isin(OUTLINED), "label"].tolist()
        if len(labels) != len(masks):
            raise InputError(
                f"{masks_path}: holds {len(masks)} masks, {table_path} lists {len(labels)}"
            )
    return list(zip(map(int, labels), masks, strict=True)), table


def read_readers(masks_path: Path | str) -> list[ReaderMask]:
    """The readers' masks of all groups of a scan, by group and session, in the scan's grid.

    Raises `CorruptArtefact` naming the file when it is missing or malformed.
    """
    with own_artefact(masks_path), np.load(masks_path, allow_pickle=False) as arrays:
        masks = unpack_masks(arrays, "reader_")
        numbers = (arrays[f"reader_{name}"].tolist() for name in ("groups", "sessions"))
        return [ReaderMask(*one) for one in zip(*numbers, masks, strict=True)]
