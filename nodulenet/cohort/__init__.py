"""A cohort: its scan table, the artefacts of its scans, its manifest and its folds."""
