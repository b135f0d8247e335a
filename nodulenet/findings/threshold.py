"""The minimum probability of a finding: given, or read from a cohort's FROC."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nodulenet.files import InputError, read_json
from nodulenet.numerals import to_number

RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?|[0-9]+/[1-9][0-9]*)fp")
RESULT_SET = "ensemble"


@dataclass(frozen=True)
class Threshold:
    """A probability, and a description of its source."""

    probability: float
    source: str


def parse_threshold(text: str) -> float | Fraction:
    """`0.4`: a probability; `1fp`, `0.125fp` or `1/8fp`: false positives per scan, as a fraction.

    Raises `ValueError` for anything else.
    """
    match = RATE.fullmatch(text)
    if match:
        return Fraction(match[1])
    value = to_number(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text} is not in [0, 1]")
    return value


def find_threshold(wanted: float | Fraction, weights: Sequence[Path]) -> Threshold:
    """The threshold itself, or that of an operating point of the FROC beside the weights.

    `froc.json` is searched in the folder of each weights file and, if that is
    {cohort}/fold{k}/{stage}, in {cohort}/{stage}. Its pooled set `ensemble` gives for each rate the
    lowest probability with at most that many false positives per scan. Raises `InputError` if there
    is no such file, it lacks the rate, or the weights belong to different ones.
    """
    if not isinstance(wanted, Fraction):
        return Threshold(wanted, "given")
    files = {froc_beside(path) for path in weights}
    if len(files) > 1:
        names = ", ".join(map(str, sorted(files)))
        raise InputError(f"the weights have different FROCs: {names}; give a probability instead")
    (path,) = files
    probability = operating_point(path, float(wanted))
    return Threshold(probability, f"{float(wanted):g} false positives per scan in {path}")


def froc_beside(weights: Path) -> Path:
    """The froc.json that belongs to a weights file. Raises `InputError` if there is none."""
    folder = weights.resolve().parent
    places = [folder / "froc.json", folder.parents[1] / folder.name / "froc.json"]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"{weights}: no FROC beside it ({' or '.join(map(str, places))}), so no operating point"
        " is known; give a probability, such as --threshold 0.5"
    )


def operating_point(path: Path, rate: float) -> float:
    """The probability that froc.json gives for a rate of false positives per scan."""
    content = read_json(path)
    try:
        result = content["sets"][RESULT_SET] if "sets" in content else content
        points = dict(zip(result["rates"], result["thresholds"], strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: holds no probabilities of operating points; evaluate the cohort again"
        ) from error
    if rate not in points:
        known = ", ".join(f"{point:g}" for point in points)
        raise InputError(f"{path}: no operating point at {rate:g} false positives, only {known}")
    if points[rate] is None:
        raise InputError(f"{path}: no probability has as few as {rate:g} false positives per scan")
    return float(points[rate])
