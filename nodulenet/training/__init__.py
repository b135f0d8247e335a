"""Staged training."""

from nodulenet.training.train import train_stage

__all__ = ["train_stage"]
