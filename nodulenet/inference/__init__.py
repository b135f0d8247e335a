"""Whole-scan prediction."""

from nodulenet.inference.predict import predict_fold
from nodulenet.inference.table import concat_predictions

__all__ = ["concat_predictions", "predict_fold"]
