"""The network of NoduleNet and its training objective."""

from nodulenet.model.network import NoduleNet

__all__ = ["NoduleNet"]
