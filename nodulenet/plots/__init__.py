"""Figures for a report or a paper, drawn from the workflow's own files."""

from nodulenet.plots.ablation import plot_ablation
from nodulenet.plots.froc import plot_froc
from nodulenet.plots.gallery import plot_gallery
from nodulenet.plots.segmentation import plot_segmentation
from nodulenet.plots.timings import plot_timings
from nodulenet.plots.training import plot_training
from nodulenet.plots.transfer import plot_transfer

__all__ = [
    "plot_ablation",
    "plot_froc",
    "plot_gallery",
    "plot_segmentation",
    "plot_timings",
    "plot_training",
    "plot_transfer",
]
