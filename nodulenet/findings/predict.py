"""From one CT to its findings, and the files that describe them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from nodulenet import __version__
from nodulenet.files import InputError, naming, reason_of, replacing, write_json
from nodulenet.findings.cuts import View
from nodulenet.findings.detector import Detector
from nodulenet.findings.measure import Finding, find_findings, paint_findings
from nodulenet.findings.overview import plot_overview
from nodulenet.findings.page import RESEARCH, write_page
from nodulenet.findings.scans import Source, slice_sources
from nodulenet.findings.table import Record, finding_rows, write_finding_rows
from nodulenet.findings.threshold import Threshold
from nodulenet.imaging import (
    FoundSeries,
    Volume,
    check_hu,
    preprocess,
    read_volume,
    segment_lungs,
    standard,
    write_volume,
)

OUTPUTS = (
    *("findings.csv", "findings.json", "masks.nii.gz", "seg.dcm", "sr.dcm"),
    *("overview.png", "report.html"),
)
STEPS = 5  # of `predict_scan`, beside those of the network


def predict_scan(
    scan: FoundSeries,
    detector: Detector,
    threshold: Threshold,
    output: Path,
    advance: Callable[[str], object] = lambda what: None,
) -> Record:
    """Predict one CT and write OUTPUTS into the folder `output`; returns findings.json's content.

    The scan is reoriented to the axes that networks are trained on (z up, y back, x left) and the
    masks are reoriented back. seg.dcm and sr.dcm are written only for DICOM, masks.nii.gz only by a
    network that segments; the notes say what is missing, and why. The results of an earlier run are
    kept until all new ones are written. advance: called with the name of each step. Raises
    `InputError` naming the scan and the fault.
    """
    try:
        with replacing_results(output) as fresh:
            return _predict(scan, detector, threshold, fresh, advance)
    except InputError as error:
        if str(scan.path) in str(error):
            raise
        raise InputError(f"{scan.path}: series {scan.series_uid}: {error}") from error


@contextmanager
def replacing_results(output: Path) -> Iterator[Path]:
    """Yield an empty folder; at the end its OUTPUTS replace those in `output`.

    On failure nothing in `output` has changed. findings.json is removed first and written last, so
    if it is present, all files are of the same run.
    """
    made = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".predict-", dir=output))
    try:
        yield fresh
        last = "findings.json"
        (output / last).unlink(missing_ok=True)
        for name in (*(name for name in OUTPUTS if name != last), last):
            if (fresh / name).exists():
                (fresh / name).replace(output / name)
            else:
                (output / name).unlink(missing_ok=True)
    except OSError as error:
        if error.filename and Path(error.filename).parent == fresh:
            error.filename = str(output / Path(error.filename).name)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if made and not any(output.iterdir()):
            output.rmdir()


def _predict(
    scan: FoundSeries,
    detector: Detector,
    threshold: Threshold,
    output: Path,
    advance: Callable[[str], object],
) -> Record:
    """Carry out `predict_scan` in an empty folder `output`."""
    advance("reading")
    own = read_volume(scan.path, scan.series_uid)
    turned, turn = standard(own)
    advance("lungs")
    with naming(f"{scan.path}: series {scan.series_uid}"):
        lungs = segment_lungs(turned)
        warning = check_hu(turned, lungs)
    advance("preprocessing")
    grid = preprocess(turned, lungs, detector.preprocess)
    prediction = detector.predict(grid.array, lambda: advance("network"))
    advance("masks")
    findings, notes = find_findings(
        prediction, grid, own, detector.margin_total, threshold.probability
    )
    notes += [*own.notes, *([warning] if warning else [])]
    advance("writing")
    sources = slice_sources(scan) if scan.path.is_dir() else None
    labels = paint_findings(findings, own.array.shape)
    if detector.segments:
        write_volume(Volume(labels, own.affine), output / "masks.nii.gz")
    else:
        notes.append("no masks.nii.gz: the network does not segment")
    if sources:
        notes += write_dicom(sources, findings, own, detector, output)
    view = View(turned, lungs, standard(Volume(labels, own.affine))[0].array, turn)
    plot_overview(scan.series_uid, findings, view, output / "overview.png")
    rows = finding_rows(scan.series_uid, findings, own, sources)
    write_finding_rows(rows, output / "findings.csv")
    content = describe(scan, own, detector, threshold)
    made = [name for name in OUTPUTS if (output / name).exists()]
    files = [*made, "findings.json", "report.html"]
    content |= {"findings": rows, "notes": notes, "files": files}
    write_json(output / "findings.json", content)
    write_page(content, findings, view, output / "overview.png", output / "report.html")
    return content


def write_dicom(
    sources: Sequence[Source],
    findings: Sequence[Finding],
    scan: Volume,
    detector: Detector,
    output: Path,
) -> list[str]:
    """Write seg.dcm and sr.dcm if there are findings; a note for each that is not written."""
    from nodulenet.findings.dicom_seg import build_segmentation, missing_tag, new_tracking
    from nodulenet.findings.dicom_sr import build_report

    lacking = missing_tag(sources)
    if lacking or not findings:
        reason = f"a slice has no {lacking}" if lacking else "there is no finding"
        return [f"no seg.dcm and no sr.dcm: {reason}"]
    marked = list(zip(findings, new_tracking(findings), strict=True))
    try:
        segmentation = build_segmentation(sources, marked, detector.algorithm)
        report = build_report(sources, marked, scan, segmentation, detector.algorithm)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = reason_of(error)
        return [f"no seg.dcm and no sr.dcm: the slices' headers do not allow it: {reason}"]
    objects = {"seg.dcm": segmentation, "sr.dcm": report}
    for name, dataset in objects.items():
        if dataset is not None:
            with replacing(output / name) as temporary:
                dataset.save_as(temporary)
    return [] if segmentation is not None else ["no seg.dcm: no finding has a mask"]


def describe(
    scan: FoundSeries,
    own: Volume,
    detector: Detector,
    threshold: Threshold,
) -> Record:
    """The content of findings.json without the findings: input, networks and settings."""
    return {
        "version": __version__,
        "research": RESEARCH,
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "input": str(scan.path),
        "series_uid": scan.series_uid,
        "patient_id": scan.patient_id,
        "scan": {
            "shape": list(own.array.shape),
            "spacing_mm": own.spacing.tolist(),
            "affine": own.affine.tolist(),
        },
        "weights": list(detector.weights),
        "preprocess": detector.preprocess.plain(),
        "lungs": "segmented by nodulenet",
        "inference": dict(detector.settings),
        "threshold": asdict(threshold),
        "findings": [],
        "notes": [],
        "files": [],
    }
