"""Scores of detections and of segmentations."""

from nodulenet.evaluation.bootstrap import bootstrap, paired_bootstrap
from nodulenet.evaluation.froc import froc
from nodulenet.evaluation.stage import StageFiles, evaluate_stage
from nodulenet.evaluation.submission import Submission, score_submission

__all__ = [
    "StageFiles",
    "Submission",
    "bootstrap",
    "evaluate_stage",
    "froc",
    "paired_bootstrap",
    "score_submission",
]
