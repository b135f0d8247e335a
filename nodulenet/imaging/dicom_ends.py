"""Whether slices may be missing at an end of a series, where the gap check sees nothing."""

from collections.abc import Sequence

import numpy as np

from nodulenet.imaging.dicom_series import Series, localizers
from nodulenet.imaging.dicom_slices import Slice


def missing_ends(series: Series, slices: Sequence[Slice]) -> list[str]:
    """A line for each sign that a first or last slice is missing; none is proof.

    slices: in order. ImagesInAcquisition is believed where all slices are of one acquisition,
    InstanceNumbers where they count the slices one by one: they begin at 0 or 1, or after those
    of the series' localizers.
    """
    return [line for line in (_by_acquisition(slices), _by_numbers(series, slices)) if line]


def _by_acquisition(slices: Sequence[Slice]) -> str:
    told = {(item.acquisition, item.expected) for item in slices}
    expected = slices[0].expected or 0
    if len(told) > 1 or expected <= len(slices) or slices[0].frame is not None:
        return ""
    return (
        f"it has {len(slices)} slices, its ImagesInAcquisition is {expected}:"
        " slices may be missing at its ends"
    )


def _by_numbers(series: Series, slices: Sequence[Slice]) -> str:
    numbers = [item.number for item in slices if item.number is not None]
    steps = np.unique(np.diff(numbers)).tolist()
    if len(numbers) < len(slices) or steps not in ([1], [-1]):
        return ""
    least = min(numbers)
    before = set(range(1, least)) - localizers(series)
    if not before:
        return ""
    first = slices[numbers.index(least)]
    return (
        f"its InstanceNumbers begin at {least} ({first.name(series.folder)}):"
        f" {len(before)} slice{'s' * (len(before) > 1)} may be missing at that end"
    )
