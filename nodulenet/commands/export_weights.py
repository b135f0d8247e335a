"""`nodulenet export-weights`: write weights of a run as safetensors with a card."""

import argparse
from fractions import Fraction
from pathlib import Path

from nodulenet.commands.options import add_command, add_path


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "write the weights of a finished run as safetensors in 16 bits, with a card"
    parser = add_command(commands, "export-weights", run, text)
    parser.add_argument("weights", type=Path, metavar="PT", help="weights.pt of a stage and fold")
    add_path(parser, "--output", "FILE", "file to write, *.safetensors; its card is *.json")
    parser.add_argument(
        "--threshold",
        type=rate,
        default="1fp",
        metavar="RATEfp",
        help="default threshold of `nodulenet predict` with these weights, as false positives per"
        " scan in the run's scores (default: 1fp)",
    )


def rate(text: str) -> Fraction:
    """The parsed --threshold."""
    from nodulenet.findings.threshold import parse_threshold

    try:
        value = parse_threshold(text)
    except ValueError:
        value = 0.0
    if not isinstance(value, Fraction):
        raise argparse.ArgumentTypeError(f"{text} is not a rate such as 1fp")
    return value


def run(options: argparse.Namespace) -> None:
    from nodulenet.findings.export import export_weights

    card = export_weights(options.weights, options.output, options.threshold)
    size = options.output.stat().st_size / 1e6
    trained, threshold = card["trained_on"], card["threshold"]
    print(
        f"{options.output}: {size:.1f} MB, trained on {trained['scans']} scans with"
        f" {trained['nodules']} nodules; threshold {threshold['probability']:.3f} at"
        f" {threshold['rate']:g} false positives per scan"
    )
