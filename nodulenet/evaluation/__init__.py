"""Scores of detections and of their masks."""

from nodulenet.evaluation.bootstrap import bootstrap, paired_bootstrap
from nodulenet.evaluation.evaluate import evaluate_stage
from nodulenet.evaluation.files import froc_files
from nodulenet.evaluation.froc import froc

__all__ = ["bootstrap", "evaluate_stage", "froc", "froc_files", "paired_bootstrap"]
