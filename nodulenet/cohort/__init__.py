"""A cohort: its scan table, the artefacts of its scans, its manifest and its folds.

The steps of one scan are not passed on here: `annotate_scan` in `annotate`, the others in `steps`.
"""

from nodulenet.cohort.folds import read_folds, split_folds, write_folds
from nodulenet.cohort.manifest import gather_manifest, read_manifest, write_manifest

__all__ = [
    "gather_manifest",
    "read_folds",
    "read_manifest",
    "split_folds",
    "write_folds",
    "write_manifest",
]
