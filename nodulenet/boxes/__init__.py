"""Boxes (z, y, x, d, h, w) in voxels: overlap, suppression, matching, coding against anchors."""

from nodulenet.boxes.anchors import decode, encode
from nodulenet.boxes.iou import iou_matrix
from nodulenet.boxes.matching import match
from nodulenet.boxes.nms import batched_nms, nms

__all__ = ["batched_nms", "decode", "encode", "iou_matrix", "match", "nms"]
