"""`nodulenet predict`: predict every CT of an input in turn."""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from nodulenet.commands.options import add_command, add_path, count
from nodulenet.files import InputError
from nodulenet.weights import BUNDLED, weights_name

if TYPE_CHECKING:
    from nodulenet.findings.detector import Detector
    from nodulenet.findings.threshold import Threshold
    from nodulenet.imaging import FoundSeries

DEMO_SCAN = 2
"""Which scan of the demo --demo predicts: one with several nodules."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "find and segment the lung nodules of a CT, for research, not for diagnosis"
    parser = add_command(commands, "predict", run, text)
    parser.add_argument(
        "input",
        type=Path,
        nargs="?",
        metavar="INPUT",
        help="folder with a DICOM series or whole studies, or a .mhd, .mha, .nii, .nii.gz or"
        " .nrrd file",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="predict a synthetic scan instead, rendered into DIR/demo",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        default=[BUNDLED],
        metavar="FILE",
        help="weights.pt of a stage, or exported weights; several (such as a cohort's folds) are"
        " used as an ensemble (default: the bundled detector, trained on synthetic CT alone)",
    )
    add_path(parser, "--output", "DIR", "folder to write into")
    parser.add_argument(
        "--series", metavar="UID", help="the series to predict, if the input has several"
    )
    parser.add_argument(
        "--threshold",
        type=threshold,
        metavar="P|RATEfp",
        help="minimum probability of a finding; or false positives per scan, such as 1fp or 1/8fp,"
        " looked up in the FROC of the weights (default: that of a single file of exported"
        " weights, else 0.5)",
    )
    add_machine_options(parser)


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for running the networks."""
    parser.add_argument(
        "--tta", action="store_true", help="average eight mirror images: 16 times the work"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--tile",
        type=tile_side,
        metavar="VOXELS",
        help="side of overlapping tiles, to save memory; a multiple of 16 above 128",
    )
    parser.add_argument(
        "--pad-value",
        type=grey_value,
        metavar="GREY",
        help="grey value beyond the volume: 0 for the published weights (default: nodulenet's own)",
    )


def threshold(text: str) -> float | Fraction:
    """The parsed --threshold."""
    from nodulenet.findings.threshold import parse_threshold

    try:
        return parse_threshold(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text} is neither a probability nor a rate such as 1fp"
        ) from error


def tile_side(text: str) -> int:
    """A multiple of 16 that leaves a core between the halos of a tile."""
    from nodulenet.settings import InferenceSettings

    value, least = count(text), 2 * InferenceSettings().halo
    if value <= least or value % 16:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 16 above {least}")
    return value


def grey_value(text: str) -> int:
    """A whole number from 0 to 255."""
    value = count(text)
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 to 255")
    return value


def run(options: argparse.Namespace) -> None:
    """Predict every CT series of the input; several are written to one folder each.

    Raises `InputError` at the first fault in the options; a fault in one of several series is
    printed at once and raised at the end.
    """
    from nodulenet.findings.detector import load_detector
    from nodulenet.findings.scans import find_scans
    from nodulenet.findings.threshold import find_threshold
    from nodulenet.settings import InferenceSettings

    started = time.monotonic()
    if options.demo != (options.input is None):
        raise InputError("predict: needs either INPUT or --demo")
    source = render_demo(options.output) if options.demo else options.input
    scans, passed = find_scans(source, options.series)
    for line in passed:
        print(f"skipped {line}", file=sys.stderr)
    check_writable(options.output)
    least = find_threshold(options.threshold, options.weights)
    given = {"tile": options.tile, "pad_value": options.pad_value}
    detector = load_detector(
        options.weights,
        options.device,
        least.probability,
        InferenceSettings(**{name: value for name, value in given.items() if value is not None}),
        tta=options.tta,
    )
    names = ", ".join(map(weights_name, options.weights))
    print(f"{names}; threshold {least.probability:.3f}; for research, not for diagnosis")
    failed = predict_all(scans, detector, least, options.output)
    print(f"{time.monotonic() - started:.0f} s, {memory_text()}")
    if failed:
        raise InputError(f"{source}: {failed} of {len(scans)} series could not be predicted")


def predict_all(
    scans: "Sequence[FoundSeries]", detector: "Detector", least: "Threshold", output: Path
) -> int:
    """Predict scans in turn, of several each into a folder of its own; returns how many failed.

    Raises `InputError` for a fault in a single scan; of several scans, the fault is printed.
    """
    from nodulenet.findings.predict import STEPS, predict_scan
    from nodulenet.progress import steps

    failed = 0
    for number, scan in enumerate(scans, 1):
        folder = output / scan.series_uid if len(scans) > 1 else output
        name = f"scan {number} of {len(scans)}"
        try:
            if scan.fault:
                raise InputError(scan.fault)
            with steps(name, STEPS + detector.steps) as advance:
                content = predict_scan(scan, detector, least, folder, advance)
        except InputError as error:
            if len(scans) == 1:
                raise
            failed += 1
            print(f"not predicted: {' '.join(str(error).split())}", file=sys.stderr)
            continue
        for note in content["notes"]:
            print(f"note: {note}", file=sys.stderr)
        print(f"{scan.series_uid}: {len(content['findings'])} findings in {folder}")
    return failed


def render_demo(output: Path) -> Path:
    """Render a scan of the demo, on which the bundled detector was not trained; its CT."""
    from nodulenet.demo import render_demo_scan
    from nodulenet.demo.cohort import demo_scans

    check_writable(output)
    folder = output / "demo"
    folder.mkdir(exist_ok=True)
    ct = folder / "ct.mhd"
    render_demo_scan(
        demo_scans()[DEMO_SCAN].series_uid, ct, folder / "readers.xml", folder / "lungs.mhd"
    )
    return ct


def check_writable(folder: Path) -> None:
    """Make the output folder. Raises `InputError` if it is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error


def memory_text() -> str:
    """Peak memory of this process, and of its GPU if it used one."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    text = f"peak memory {peak / 1e9:.2f} GB"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        text += f", {torch.cuda.max_memory_allocated() / 1e9:.2f} GB on the GPU"
    return text
