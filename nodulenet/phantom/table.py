"""The scan table of a synthetic cohort: `nodulenet synthetic` writes it."""

from nodulenet.phantom.files import derived_uid
from nodulenet.scan_table import MADE, TRAIN, Row


def synthetic_scans(training: int, held_out: int) -> list[Row]:
    """One row per scan: those to test on, in fold 0, then those to train on.

    A longer table begins with the scans of a shorter one with as many held out.
    """
    return [
        _row(number, *(("0", "test") if number <= held_out else (TRAIN, "train")))
        for number in range(1, held_out + training + 1)
    ]


def _row(number: int, fold: str, part: str) -> Row:
    """Every fourth scan has its exact lung mask; the lungs of the others are segmented, as those of
    a user's CT are."""
    name = f"synthetic-{number:05d}"
    series = derived_uid("nodulenet", name)
    stem = f"{MADE['pretrain']}/{part}/{series}"
    masked = number % 4 == 0
    return {
        "series_uid": series,
        "patient_id": name,
        "ct": f"{stem}.mhd",
        "annotations": f"{stem}.xml",
        "lung_mask": f"{stem}_lungs.mhd" if masked else "",
        "fold": fold,
    }
