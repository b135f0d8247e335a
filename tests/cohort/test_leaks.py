"""A network is never tested on what it was trained on, whatever the scan is called there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nodulenet.cohort.leaks import check_leaks
from nodulenet.cohort.manifest import ARTEFACTS, COLUMNS, COUNTS, SHAPE, write_manifest
from nodulenet.files import InputError
from nodulenet.imaging.store import array_digest


def row(series: str, patient: str, volume: str) -> dict[str, object]:
    """A scan that could be used, or was left out if it has no volume."""
    status = "ok" if volume else "its CT is damaged"
    texts = {"status": status, "annotations": "", "lost": "", "warnings": "", "digest": "d"}
    numbers = dict.fromkeys((*COUNTS, *SHAPE), 0)
    names = {"series_uid": series, "patient_id": patient, "volume_digest": volume}
    return names | texts | numbers | {key: path.format(series) for key, path in ARTEFACTS.items()}


def table(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame([row(*one) for one in rows], columns=list(COLUMNS))


@pytest.fixture
def training(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.tsv"
    write_manifest(table(("1.1", "anna", "aa"), ("1.2", "bob", "bb"), ("1.3", "carl", "")), path)
    return path


@pytest.mark.parametrize(
    ("scan", "fault"),
    [
        (("1.2", "eve", "ee"), "series 1.2 is in the training cohort too: scan 1.2 of patient bob"),
        (("2.2", "bob", "ee"), "patient bob is in the training cohort too: scan 1.2"),
        (("2.2", "eve", "bb"), "the same image is in the training cohort too: scan 1.2 of patient"),
        (("2.2", "carl", "ee"), "patient carl is in the training cohort too: scan 1.3"),
        (("1.2", "eve", ""), "series 1.2 is in the training cohort too"),
    ],
)
def test_a_shared_scan_names_both(training: Path, scan: tuple[str, str, str], fault: str) -> None:
    with pytest.raises(InputError) as error:
        check_leaks(table(("2.1", "dora", "dd"), scan), training)
    text = str(error.value)
    assert text.startswith(f"scan {scan[0]} of patient {scan[1]}: {fault}")
    assert str(training) in text


def test_scans_that_were_left_out_share_no_image(training: Path) -> None:
    check_leaks(table(("2.1", "dora", "dd"), ("2.2", "eve", "")), training)


def test_several_shared_scans_are_counted(training: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.tsv \(2 such scans\): a network must not be"):
        check_leaks(table(("2.1", "bob", "dd"), ("2.2", "anna", "ee")), training)


def test_an_image_is_its_shape_and_its_values() -> None:
    image = np.arange(24, dtype=np.uint8)
    digests = {
        array_digest(image.reshape(2, 3, 4)),
        array_digest(image.reshape(4, 3, 2)),
        array_digest(image[::-1].reshape(2, 3, 4)),
    }
    assert len(digests) == 3
    assert array_digest(np.asfortranarray(image.reshape(2, 3, 4))) in digests
