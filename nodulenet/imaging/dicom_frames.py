"""Where the frames of a DICOM image have their geometry: in the file, or in functional groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nodulenet.files import InputError
from nodulenet.imaging.dicom_header import count_of, value_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
FRAME_TAGS = (SHARED, PER_FRAME)


@dataclass(frozen=True, eq=False)
class Frame:
    """The places of one frame's values; of an image of one frame all are the file's header.

    index: from 0, None for an image of one frame without functional groups. where: file and
    frame for messages. plane: has ImagePositionPatient; orientation: ImageOrientationPatient;
    measures: PixelSpacing and SliceThickness; values: rescaling; kind: the image's type under
    `kind_tag`.
    """

    index: int | None
    where: str
    plane: Dataset
    orientation: Dataset
    measures: Dataset
    values: Dataset
    kind: Dataset
    kind_tag: str


def frames_of(path: Path, header: Dataset) -> list[Frame]:
    """The frames of a CT image in the order of its pixels.

    Those of a multi-frame image need functional groups, shared or per frame (PS3.3 C.7.6.16).
    Raises `InputError` naming file and tag where they are not there or do not fit.
    """
    count = count_of(header, "NumberOfFrames", path, 1)
    groups = _sequence(header, PER_FRAME, path)
    if not groups and not _sequence(header, SHARED, path):
        if count > 1:
            raise InputError(
                f"{path}: multi-frame (NumberOfFrames {count}) without {PER_FRAME}:"
                " nothing says where its frames lie"
            )
        one = Frame(None, str(path), header, header, header, header, header, "ImageType")
        return [one]
    if len(groups) != count:
        raise InputError(
            f"{path}: its NumberOfFrames is {count}, {PER_FRAME} has {len(groups)} items"
        )
    shared = next(iter(_sequence(header, SHARED, path)), None)
    return [_frame(path, header, index, group, shared) for index, group in enumerate(groups)]


def _frame(
    path: Path, header: Dataset, index: int, group: Dataset, shared: Dataset | None
) -> Frame:
    where = f"{path}: frame {index + 1}"

    def macro(name: str) -> Dataset | None:
        """An item of the frame's own groups, else of the shared ones."""
        for place in (group, shared):
            if place is not None and (items := _sequence(place, name, where)):
                return items[0]
        return None

    def needed(name: str) -> Dataset:
        item = macro(name)
        if item is None:
            raise InputError(f"{where}: has no {name}")
        return item

    kind = macro("CTImageFrameTypeSequence")
    return Frame(
        index=index,
        where=where,
        plane=needed("PlanePositionSequence"),
        orientation=needed("PlaneOrientationSequence"),
        measures=needed("PixelMeasuresSequence"),
        values=needed("PixelValueTransformationSequence"),
        kind=header if kind is None else kind,
        kind_tag="ImageType" if kind is None else "FrameType",
    )


def _sequence(data: Dataset, tag: str, where: object) -> list[Dataset]:
    value = value_of(data, tag, where)
    if value is None:
        return []
    from pydicom.sequence import Sequence

    if not isinstance(value, Sequence):
        raise InputError(f"{where}: its {tag} is no sequence")
    return list(value)
