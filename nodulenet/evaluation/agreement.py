"""The readers' agreement over a cohort, as files: the bar for a stage's masks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodulenet.evaluation.inputs import read_cohort, read_findings
from nodulenet.evaluation.mask_summary import summarize_pairs
from nodulenet.evaluation.reader_pairs import compare_readers
from nodulenet.evaluation.scoring import write_table
from nodulenet.evaluation.stamp import stamp_of, stamped
from nodulenet.evaluation.truth import NODULENET
from nodulenet.files import write_json


def score_readers(manifest: Path, folds: Path, origin: Mapping[str, Any], output: Path) -> None:
    """Write reader_pairs.csv and its means, reader_pairs.json, into the folder `output`.

    origin: consensus, level and config for the stamp. Raises `InputError` naming file and fault.
    """
    scored = [scan for scan in read_cohort(manifest, folds) if scan.nodules > 0]
    table = compare_readers(scored, read_findings(scored))
    own = {"protocol": NODULENET, **origin}
    stamp = stamp_of(own, len(scored), sum(scan.nodules for scan in scored))
    write_table(stamped(table, stamp), output / "reader_pairs.csv")
    write_json(output / "reader_pairs.json", summarize_pairs(table) | {"stamp": stamp.plain()})
