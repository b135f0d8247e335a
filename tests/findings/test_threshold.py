"""Thresholds: probabilities, and operating points of the FROC beside the weights."""

import json
from fractions import Fraction

import pytest

from nodulenet.files import InputError
from nodulenet.findings.threshold import find_threshold, parse_threshold

POINTS = {"rates": [0.125, 0.25, 1.0], "thresholds": [None, 0.9, 0.4]}
POOLED = {"sets": {"ensemble": POINTS, "ncs": {"rates": [1.0], "thresholds": [0.1]}}}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_texts():
    assert parse_threshold("0.25") == 0.25
    assert parse_threshold("1fp") == Fraction(1)
    assert parse_threshold("0.125fp") == parse_threshold("1/8fp") == Fraction(1, 8)
    for text in ("1.5", "-0.1", "nan", "fp", "1/0fp", "-1fp", "1 fp", "one"):
        with pytest.raises(ValueError, match=r".+"):
            parse_threshold(text)


def test_a_probability_needs_no_file(tmp_path):
    assert find_threshold(0.3, [tmp_path / "none.pt"]).probability == 0.3


def test_of_a_cohort_and_beside_the_file(tmp_path):
    weights = tmp_path / "fold3/full/weights.pt"
    write(tmp_path / "full/froc.json", POOLED)
    write(tmp_path / "ncs_only/froc.json", {"sets": {"ensemble": {}}})
    found = find_threshold(Fraction(1), [weights, tmp_path / "fold0/full/weights.pt"])
    assert found.probability == 0.4
    assert found.source == f"1 false positives per scan in {tmp_path}/full/froc.json"
    # a flat file as `nodulenet froc` writes it, beside the weights, goes before the cohort's
    write(tmp_path / "fold3/full/froc.json", {"rates": [1.0], "thresholds": [0.7]})
    assert find_threshold(Fraction(1), [weights]).probability == 0.7
    with pytest.raises(InputError, match="different FROCs"):
        find_threshold(Fraction(1), [weights, tmp_path / "fold0/full/weights.pt"])


@pytest.mark.parametrize(
    ("content", "rate", "fault"),
    [
        (None, 1, r"weights\.pt: no FROC beside it .*--threshold 0\.5"),
        (POOLED, 3, r"no operating point at 3 false positives, only 0\.125, 0\.25, 1"),
        (POOLED, Fraction(1, 8), r"no probability has as few as 0\.125"),
        ({"sets": {"ensemble": {"rates": [1.0]}}}, 1, "evaluate the cohort again"),
        ({"sets": {"dfps": POINTS}}, 1, "evaluate the cohort again"),
        ([], 1, "holds no JSON object"),
    ],
)
def test_faults(tmp_path, content, rate, fault):
    if content is not None:
        write(tmp_path / "full/froc.json", content)
    with pytest.raises(InputError, match=fault) as caught:
        find_threshold(Fraction(rate), [tmp_path / "fold0/full/weights.pt"])
    assert "\n" not in str(caught.value)
