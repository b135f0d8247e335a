"""The minimum probability of a finding: given, or read from a cohort's FROC or from a card."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from nodulenet.files import InputError, read_json
from nodulenet.model.safetensors_file import is_exported, read_card
from nodulenet.numerals import to_number

RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?|[0-9]+/[1-9][0-9]*)fp")
RESULT_SET = "ensemble"
PLAIN = 0.5
"""The threshold where nothing else is known."""


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


def find_threshold(wanted: float | Fraction | None, weights: Sequence[Path]) -> Threshold:
    """The threshold itself, or that of an operating point of the weights' FROC.

    None: that of the card of exported weights, else 0.5. The FROC of exported weights is in their
    card; for others `froc.json` is searched in the folder of each weights file and, if that is
    {cohort}/fold{k}/{stage}, in {cohort}/{stage}. Its pooled set `ensemble` gives for each rate the
    lowest probability with at most that many false positives per scan. Raises `InputError` if there
    is no such file, it lacks the rate, or the weights belong to different ones.
    """
    if wanted is None:
        return default_threshold(weights)
    if not isinstance(wanted, Fraction):
        return Threshold(wanted, "given")
    files = {path if is_exported(path) else froc_beside(path) for path in weights}
    if len(files) > 1:
        names = ", ".join(map(str, sorted(files)))
        raise InputError(f"the weights have different FROCs: {names}; give a probability instead")
    (path,) = files
    content = read_card(path).get("operating_points", {}) if is_exported(path) else read_json(path)
    probability = operating_point(content, float(wanted), path)
    return Threshold(probability, f"{float(wanted):g} false positives per scan in {path}")


def default_threshold(weights: Sequence[Path]) -> Threshold:
    """The threshold of the card of a single file of exported weights, else 0.5.

    Raises `InputError` for a card without one.
    """
    if len(weights) != 1 or not is_exported(weights[0]):
        return Threshold(PLAIN, "the default")
    card = read_card(weights[0])
    try:
        rate, probability = (float(card["threshold"][name]) for name in ("rate", "probability"))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{weights[0]}: its card has no threshold") from error
    if not 0 <= probability <= 1:
        raise InputError(f"{weights[0]}: its card's threshold {probability} is not in [0, 1]")
    return Threshold(probability, f"the default: {rate:g} false positives per scan in its tests")


def froc_beside(weights: Path) -> Path:
    """The froc.json that belongs to a weights file. Raises `InputError` if there is none."""
    folder = weights.resolve().parent
    cohort = folder.parent.parent
    places = [folder / "froc.json", cohort / folder.name / "froc.json"]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"{weights}: no FROC beside it ({' or '.join(map(str, places))}), so no operating point"
        " is known; give a probability, such as --threshold 0.5"
    )


def operating_point(content: Mapping[str, Any], rate: float, path: Path) -> float:
    """The probability that a froc.json or a card gives for a rate of false positives per scan.

    path: the file of the content, for messages. Raises `InputError` if it has none.
    """
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
