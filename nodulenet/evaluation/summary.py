"""A FROC as it is written down: the dictionary of froc.json and the rows of froc.csv."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.evaluation.bootstrap import CURVE_RATES, Difference, Interval
from nodulenet.evaluation.froc import RATES, Froc, operating_thresholds, read_curve
from nodulenet.evaluation.matching import MARKS_PER_SCAN
from nodulenet.evaluation.precision import average_precision

COUNTS = (
    *("nodules", "found", "false_positives", "on_excluded"),
    *("marks_cut", "scans_cut", "scans"),
)


def summarize(result: Froc, interval: Interval) -> dict[str, Any]:
    """Plain values for JSON; what is undefined without nodules is None.

    `thresholds` are the lowest probabilities with at most the rates' false positives a scan.
    `interval` is that of the CPM, `sensitivity_interval` those of the seven operating points,
    `curve` holds sensitivity and interval at 97 rates from 1/8 to 8, for a figure.
    """
    events = result.outcomes
    curve = read_curve(result.rate, result.recall, CURVE_RATES, result.readout)
    return {
        "cpm": _plain(np.array(result.cpm)),
        "interval": _plain(interval.cpm),
        "average_precision": _plain(np.array(average_precision(events))),
        "rates": RATES.tolist(),
        "sensitivity": _plain(result.sensitivity),
        "thresholds": _plain(operating_thresholds(events, result.rate, RATES)),
        "sensitivity_interval": _plain(interval.sensitivity),
        "nodules": int(events.nodules.sum()),
        "found": events.found,
        "false_positives": events.false_positives,
        "on_excluded": events.on_excluded,
        "marks_cut": events.marks_cut,
        "scans_cut": events.scans_cut,
        "scans": len(events.nodules),
        "curve": {
            "rate": CURVE_RATES.tolist(),
            "sensitivity": _plain(curve),
            "low": _plain(interval.curve[:, 0]),
            "high": _plain(interval.curve[:, 1]),
        },
    }


def summarize_difference(difference: Difference) -> dict[str, Any]:
    """Plain values for JSON of a paired difference; what is undefined is None."""
    return {
        "cpm": _plain(np.array(difference.cpm)),
        "interval": _plain(difference.interval),
        "rates": RATES.tolist(),
        "sensitivity": _plain(difference.sensitivity),
        "sensitivity_interval": _plain(difference.sensitivity_interval),
    }


def cpm_text(result: Mapping[str, Any], digits: int = 3) -> str:
    """CPM, or difference of CPMs, with its interval, of a summary as above."""
    if result["cpm"] is None:
        return "undefined"
    low, high = result["interval"]
    interval = "" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{result['cpm']:.{digits}f}{interval}"


def cut_text(result: Mapping[str, Any]) -> str:
    """What the limit of marks per scan took from a summary as above; "" if nothing."""
    if not result["marks_cut"]:
        return ""
    return (
        f"{result['marks_cut']} marks cut in {result['scans_cut']} scans: of more than"
        f" {MARKS_PER_SCAN} in a scan only those above the {MARKS_PER_SCAN + 1}st count"
    )


def detail_lines(result: Mapping[str, Any]) -> list[str]:
    """Average precision of a summary as above with its hit rule, and the marks that were cut."""
    precision = result["average_precision"]
    value = "undefined" if precision is None else f"{precision:.4f}"
    rule = "hits as for the CPM; further marks on a nodule and marks on excluded findings left out"
    cut = cut_text(result)
    return [f"average precision {value} ({rule})", *([cut] if cut else [])]


def froc_rows(parts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of froc.csv for one result set: `parts` maps `pooled` or a fold to its summary."""
    rows = []
    for part, summary in parts.items():
        low, high = summary["interval"]
        whole = {"cpm": summary["cpm"], "cpm_low": low, "cpm_high": high}
        whole["average_precision"] = summary["average_precision"]
        whole |= {key: summary[key] for key in COUNTS}
        points = zip(
            summary["rates"],
            summary["sensitivity"],
            summary["sensitivity_interval"],
            strict=True,
        )
        for rate, sensitivity, (low, high) in points:
            point = {"rate": rate, "sensitivity": sensitivity, "low": low, "high": high}
            rows.append({"fold": part} | point | whole)
    return rows


def _plain(values: NDArray[np.float64]) -> Any:
    """Nested lists of floats, None for NaN, which JSON lacks."""
    if values.ndim:
        return [_plain(value) for value in values]
    return None if np.isnan(values) else float(values)
