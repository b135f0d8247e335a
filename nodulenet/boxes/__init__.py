"""Boxes (z, y, x, d, h, w) in voxels: overlap, suppression and coding against anchors."""

from nodulenet.boxes.anchors import decode, encode
from nodulenet.boxes.iou import iou_matrix
from nodulenet.boxes.nms import nms

__all__ = ["decode", "encode", "iou_matrix", "nms"]
