"""Whether a cohort to test on shares anything with the cohort that its networks were trained on."""

from pathlib import Path

import pandas as pd

from nodulenet.cohort.manifest import read_manifest
from nodulenet.files import InputError

SHARED = {
    "series_uid": "series {} is",
    "patient_id": "patient {} is",
    "volume_digest": "the same image is",
}
"""Column of the manifest -> what is in both cohorts if a value is."""


def check_leaks(manifest: pd.DataFrame, training: Path) -> None:
    """Raise `InputError` naming both scans if a series, a patient or an image is in both cohorts.

    manifest: of the cohort to test on; training: manifest.tsv of the cohort trained on. An image is
    the preprocessed volume, so that renamed and converted files are found too.
    """
    trained = read_manifest(training)
    for column, what in SHARED.items():
        known = trained[trained[column] != ""]
        shared = manifest[manifest[column].isin(known[column])]
        for row in shared.itertuples():
            value = getattr(row, column)
            other = known[known[column] == value].iloc[0]
            more = f" ({len(shared)} such scans)" if len(shared) > 1 else ""
            raise InputError(
                f"scan {row.series_uid} of patient {row.patient_id}: {what.format(value)} in the"
                f" training cohort too: scan {other['series_uid']} of patient"
                f" {other['patient_id']} in {training}{more}: a network must not be tested on what"
                " it was trained on"
            )
