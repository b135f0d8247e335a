"""A FROC as plain values: the summary that froc.csv and froc.json hold, and froc.json as read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from nodulenet.evaluation.bootstrap import CURVE_RATES, Difference, Interval
from nodulenet.evaluation.froc import (
    RATES,
    Froc,
    Readout,
    average_precision,
    operating_thresholds,
    read_curve,
)
from nodulenet.evaluation.matching import MARKS_PER_SCAN, Outcomes
from nodulenet.evaluation.tables import Stamp, json_values
from nodulenet.files import InputError, own_artefact, read_json

ENSEMBLE = "ensemble"
SHOWN = (ENSEMBLE, "dfps", "ncs", "submission", "against")
Number = float | None
Span = tuple[Number, Number]


@dataclass(frozen=True)
class Summary:
    """The scores of one result set, as plain values; None if undefined without nodules.

    interval: of the CPM; sensitivity_interval: of the seven operating points. thresholds: the
    lowest probabilities with at most the rates' false positives per scan. curve: rate, sensitivity,
    low and high at 97 rates from 1/8 to 8, for a figure. folds: the same for each fold separately,
    None without folds.
    """

    cpm: Number
    interval: Span
    average_precision: Number
    rates: Sequence[float]
    sensitivity: Sequence[Number]
    thresholds: Sequence[Number]
    sensitivity_interval: Sequence[Sequence[Number]]
    nodules: int
    found: int
    false_positives: int
    on_excluded: int
    marks_cut: int
    scans_cut: int
    scans: int
    curve: Mapping[str, Sequence[Number]]
    folds: "Mapping[str, Summary] | None" = None

    def plain(self) -> dict[str, Any]:
        """The values as they are written into JSON."""
        content = asdict(replace(self, folds=None))
        del content["folds"]
        if self.folds is not None:
            content["folds"] = {name: fold.plain() for name, fold in self.folds.items()}
        return content

    @property
    def cut_text(self) -> str:
        """What the limit of marks per scan removed; "" if nothing."""
        if not self.marks_cut:
            return ""
        return (
            f"{self.marks_cut} marks cut in {self.scans_cut} scans: of more than"
            f" {MARKS_PER_SCAN} in a scan only those above the {MARKS_PER_SCAN + 1}st count"
        )

    def detail_lines(self) -> list[str]:
        """Average precision with its hit rule, and the marks that were cut."""
        value = "undefined" if self.average_precision is None else f"{self.average_precision:.4f}"
        rule = (
            "hits as for the CPM; further marks on a nodule and marks on excluded findings left out"
        )
        return [f"average precision {value} ({rule})", *([self.cut_text] if self.cut_text else [])]


@dataclass(frozen=True)
class FrocFile:
    """The content of a froc.json.

    sets: name -> scores, over the headline's scans; all_scans: the same over all scans under the
    protocol nodulenet. scans_left_out: bad scans of the manifest. given_folds: fold -> stage whose
    weights were given. segmentation: means of the masks' scores, None without masks. listed: scans
    of the challenge's list; scans_not_listed: scans of the cohort that are not on it;
    scans_without_nodules (each None if it does not apply). From `nodulenet froc`, the sets are
    `submission` and `against`, files their names, unmarked their numbers of scans without a mark,
    and difference the CPM of the first minus that of the second, with its interval.
    """

    protocol: Literal["nodulenet", "luna16"]
    denominator: str
    readout: Readout
    bootstrap: int
    stamp: Stamp
    sets: Mapping[str, Summary]
    scans_left_out: int
    given_folds: Mapping[str, str]
    segmentation: Mapping[str, Any] | None
    all_scans: Mapping[str, Summary] = field(default_factory=dict)
    listed: int | None = None
    scans_not_listed: int | None = None
    scans_without_nodules: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    unmarked: Mapping[str, int] = field(default_factory=dict)
    difference: tuple[Number, Span] | None = None

    @property
    def headline(self) -> Summary:
        """The scores of the set `ensemble`."""
        return self.sets[ENSEMBLE]

    @property
    def shown(self) -> dict[str, Summary]:
        """The sets to show; without a second branch the ensemble is the candidates' own."""
        if ENSEMBLE in self.sets and "dfps" not in self.sets:
            return {"ncs": self.sets["ncs"]}
        return {name: self.sets[name] for name in SHOWN if name in self.sets}


def read_froc(path: Path) -> FrocFile:
    """Read froc.json of a stage or of `nodulenet froc`.

    Raises `CorruptArtefact` naming a file that is missing, damaged or no froc.json.
    """
    content = read_json(path)
    with own_artefact(path):
        whole = content if "sets" in content else content | _submissions(content)
        try:
            return TypeAdapter(FrocFile).validate_python(whole)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            key = ".".join(map(str, fault["loc"]))
            raise InputError(f"{path}: no froc.json: {key}: {fault['msg']}") from None


def _submissions(content: dict[str, Any]) -> dict[str, Any]:
    """A froc.json of `nodulenet froc` in the terms of `FrocFile`."""
    other = content.get("against", {})
    parts = {"submission": content} | ({"against": other} if other else {})
    difference = other.get("difference")
    return {
        "sets": parts,
        "scans_left_out": 0,
        "given_folds": {},
        "segmentation": None,
        "files": {name: part.get("predictions") for name, part in parts.items()},
        "unmarked": {name: part.get("scans_without_marks") for name, part in parts.items()},
        "difference": difference and (difference["cpm"], difference["interval"]),
    }


def summarize(result: Froc, outcomes: Outcomes, interval: Interval) -> Summary:
    """The scores of a FROC as plain values."""
    events = result.events
    curve = read_curve(result.rate, result.recall, CURVE_RATES, result.readout)
    return Summary(
        cpm=json_values(result.cpm),
        interval=span(interval.cpm),
        average_precision=json_values(average_precision(events)),
        rates=RATES.tolist(),
        sensitivity=json_values(result.sensitivity),
        thresholds=json_values(operating_thresholds(events, result.rate, RATES)),
        sensitivity_interval=json_values(interval.sensitivity),
        nodules=int(events.nodules.sum()),
        found=events.found,
        false_positives=events.false_positives,
        on_excluded=outcomes.on_excluded,
        marks_cut=outcomes.marks_cut,
        scans_cut=outcomes.scans_cut,
        scans=len(events.nodules),
        curve={
            "rate": CURVE_RATES.tolist(),
            "sensitivity": json_values(curve),
            "low": json_values(interval.curve[:, 0]),
            "high": json_values(interval.curve[:, 1]),
        },
    )


def span(ends: NDArray[np.float64]) -> Span:
    """The ends (2,) of an interval as plain values."""
    low, high = json_values(ends)
    return low, high


def summarize_difference(difference: Difference) -> dict[str, Any]:
    """Plain values for JSON of a paired difference; what is undefined is None."""
    return {
        "cpm": json_values(difference.cpm),
        "interval": json_values(difference.interval),
        "rates": RATES.tolist(),
        "sensitivity": json_values(difference.sensitivity),
        "sensitivity_interval": json_values(difference.sensitivity_interval),
    }


def rate_text(rate: float) -> str:
    """1/8, 1/4, 1/2, 1, ...: false positives per scan as the field writes them."""
    return f"1/{round(1 / rate)}" if rate < 1 else f"{rate:g}"


def cpm_text(cpm: Number, interval: Span, digits: int = 3) -> str:
    """A CPM, or a difference of CPMs, with its interval."""
    if cpm is None:
        return "undefined"
    low, high = interval
    known = "" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{cpm:.{digits}f}{known}"
