"""`nodulenet froc`: score predictions in LUNA16's formats."""

import argparse

from nodulenet.commands.options import add_command, add_path, count, given


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "score a LUNA16 submission: FROC curve, its operating points and their mean (CPM)"
    parser = add_command(commands, "froc", run, text)
    files = {
        "--annotations": "nodules to find: seriesuid,coordX,coordY,coordZ,diameter_mm",
        "--excluded": "excluded findings, on which marks are ignored; same columns",
        "--scans": "list of the scored scans, one series UID per line, no header",
        "--predictions": "marks: seriesuid,coordX,coordY,coordZ,probability",
    }
    for name, what in files.items():
        add_path(parser, name, "CSV", what)
    against = "marks of another system: draw both curves, and the paired interval of the difference"
    add_path(parser, "--against", "CSV", against, required=False)
    folds = "also score each fold separately: seriesuid,subset (or fold)"
    add_path(parser, "--folds", "CSV", folds, required=False)
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
    add_path(parser, "--output", "DIR", "folder to write into")


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
