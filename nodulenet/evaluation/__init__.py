"""Scores of detections and of their masks."""

from typing import Any

from nodulenet.evaluation.bootstrap import bootstrap
from nodulenet.evaluation.files import froc_files
from nodulenet.evaluation.froc import froc

__all__ = ["bootstrap", "evaluate_stage", "froc", "froc_files"]


def __getattr__(name: str) -> Any:
    """`evaluate_stage` is imported on first use: it reads masks, whose package imports torch."""
    if name == "evaluate_stage":
        from nodulenet.evaluation.evaluate import evaluate_stage

        return evaluate_stage
    raise AttributeError(f"module {__name__} has no attribute {name}")
