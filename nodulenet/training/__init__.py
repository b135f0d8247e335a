"""Staged training."""

from nodulenet.training.job import TrainingJob
from nodulenet.training.train import train_stage

__all__ = ["TrainingJob", "train_stage"]
