"""The network of NoduleNet and what it is trained towards."""

from nodulenet.model.network import NoduleNet

__all__ = ["NoduleNet"]
