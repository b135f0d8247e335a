"""`nodulenet froc`: score predictions in LUNA16's formats."""

import argparse
from pathlib import Path

from nodulenet.commands.options import count, given


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "score a LUNA16 submission: FROC curve, its operating points and their mean (CPM)"
    parser = commands.add_parser("froc", help=text, description=text)
    files = {
        "--annotations": "nodules to find: seriesuid,coordX,coordY,coordZ,diameter_mm",
        "--excluded": "excluded findings, on which marks are ignored; same columns",
        "--scans": "list of the scored scans, one series UID per line, no header",
        "--predictions": "marks: seriesuid,coordX,coordY,coordZ,probability",
    }
    for name, what in files.items():
        parser.add_argument(name, type=Path, required=True, metavar="CSV", help=what)
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CSV",
        help="marks of another system: draw both curves, and the paired interval of the difference",
    )
    parser.add_argument(
        "--folds",
        type=Path,
        metavar="CSV",
        help="also score each fold separately: seriesuid,subset (or fold)",
    )
    parser.add_argument(
        "--allow-missing",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether a listed scan may have no marks (default: it may)",
    )
    parser.add_argument(
        "--bootstrap",
        type=count,
        metavar="N",
        help="bootstrap samples of scans for the 95 %% interval (default: 1000)",
    )
    parser.add_argument(
        "--readout",
        choices=("challenge", "next_vertex"),
        help="how the sensitivity at a rate is read (default: challenge)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder to write into"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from nodulenet.evaluation import Submission, score_submission
    from nodulenet.evaluation.results import cpm_text
    from nodulenet.plots import plot_froc
    from nodulenet.settings import FrocSettings

    names = ("annotations", "excluded", "scans", "predictions", "folds", "against")
    files = Submission(**{name: getattr(options, name) for name in names})
    settings = FrocSettings(**given(options, "readout", "bootstrap"))
    froc = score_submission(files, options.output, settings, options.allow_missing)
    plot_froc({"submission": options.output / "froc.json"}, options.output / "froc.svg")
    for name, scores in froc.sets.items():
        cpm = f"CPM {cpm_text(scores.cpm, scores.interval, 4)}"
        if name == "submission":
            print(f"{cpm}, {scores.nodules} nodules in {scores.scans} scans", end=", ")
            print(f"{froc.unmarked[name]} of them without a mark")
        else:
            print(f"against {froc.files[name]}: {cpm}", end=", ")
            print(f"{froc.unmarked[name]} scans without a mark")
        print(*scores.detail_lines(), sep="\n")
    if froc.difference:
        print(f"difference of the CPMs {cpm_text(*froc.difference, 4)}")
