"""Prediction of whole volumes: at once, or in overlapping tiles to save memory."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nodulenet.boxes import nms
from nodulenet.inference.predictor import Predictor, ScanPrediction
from nodulenet.inference.scan import Advance, predict_window
from nodulenet.masks import CroppedMask, suppress_masks
from nodulenet.settings import InferenceSettings

Box = tuple[slice, slice, slice]


def predict_volume(
    predictor: Predictor, volume: NDArray[np.uint8], advance: Advance = lambda: None
) -> ScanPrediction:
    """Predict a preprocessed volume (z, y, x) as the predictor's settings say, by tiles or not.

    advance: called after each pass through a backbone. Raises `Diverged` where a network's boxes
    are not finite.
    """
    if predictor.settings.tile is None:
        return predict_window(predictor, volume, advance)
    return predict_tiled(
        lambda window: predict_window(predictor, window, advance), volume, predictor.settings
    )


def predict_tiled(
    predict: Callable[[NDArray[np.uint8]], ScanPrediction],
    volume: NDArray[np.uint8],
    settings: InferenceSettings,
) -> ScanPrediction:
    """Predict a volume (z, y, x) window by window and join what lies in the windows' cores.

    A candidate belongs to the tile whose core holds its NCS box's centre; suppression then runs
    over all of them. The detections are not quite those of the whole volume: what the network
    says of a place depends on up to 246 voxels on each side of it, the less the farther away, and
    a window ends `settings.halo` voxels beyond its core.
    """
    parts = []
    for core, window in tiles(volume.shape, settings.tile or 0, settings.halo):
        found = shifted(predict(volume[window]), [s.start for s in window])
        low, high = (np.array([getattr(s, end) for s in core]) - 0.5 for end in ("start", "stop"))
        centres = found.ncs_boxes[:, :3]
        parts.append(selected(found, np.flatnonzero(((low <= centres) & (centres < high)).all(1))))
    joined = join(parts)
    survivors = nms(joined.ncs_boxes, joined.ncs_probability, settings.nms_iou)
    return suppressed_again(selected(joined, survivors), settings)


def tiles(shape: tuple[int, ...], side: int, halo: int) -> Iterator[tuple[Box, Box]]:
    """Cores that partition a volume of `shape`, and the windows of side `side` at most around them.

    A window reaches `halo` voxels beyond its core on every side within the volume. Both are
    multiples of 16, so that windows start at such and every tile sees the anchors of the whole
    volume. Raises ValueError where they leave no core.
    """
    step = side - 2 * halo
    if step <= 0:
        raise ValueError(f"tiles of {side} voxels have no core between halos of {halo}")
    for starts in product(*(range(0, n, step) for n in shape)):
        z, y, x = (
            (slice(a, min(a + step, n)), slice(max(a - halo, 0), min(a + step + halo, n)))
            for a, n in zip(starts, shape, strict=True)
        )
        yield (z[0], y[0], x[0]), (z[1], y[1], x[1])


def shifted(p: ScanPrediction, start: list[int]) -> ScanPrediction:
    """A prediction of a window, in voxels of the volume that the window starts in at `start`."""
    move = np.array([*start, 0, 0, 0], np.float32)
    z, y, x = start
    return ScanPrediction(
        p.ncs_boxes + move,
        p.ncs_probability,
        None if p.dfps_boxes is None else p.dfps_boxes + move,
        p.dfps_probability,
        p.kept,
        {
            row: CroppedMask(m.mask, (m.offset[0] + z, m.offset[1] + y, m.offset[2] + x))
            for row, m in p.masks.items()
        },
    )


def selected(p: ScanPrediction, rows: NDArray[np.int64]) -> ScanPrediction:
    """The candidates of the given rows, in their order."""
    place = {int(row): k for k, row in enumerate(rows)}
    return ScanPrediction(
        p.ncs_boxes[rows],
        p.ncs_probability[rows],
        None if p.dfps_boxes is None else p.dfps_boxes[rows],
        None if p.dfps_probability is None else p.dfps_probability[rows],
        p.kept[rows],
        {place[row]: mask for row, mask in p.masks.items() if row in place},
    )


def join(parts: list[ScanPrediction]) -> ScanPrediction:
    """The candidates of all tiles, one after the other."""
    starts = np.cumsum([0] + [len(p.ncs_boxes) for p in parts]).tolist()
    decoded = [p.dfps_boxes for p in parts if p.dfps_boxes is not None]
    second = [p.dfps_probability for p in parts if p.dfps_probability is not None]
    return ScanPrediction(
        np.concatenate([p.ncs_boxes for p in parts]),
        np.concatenate([p.ncs_probability for p in parts]),
        np.concatenate(decoded) if decoded else None,
        np.concatenate(second) if second else None,
        np.concatenate([p.kept for p in parts]),
        {
            start + row: m
            for start, p in zip(starts, parts, strict=False)
            for row, m in p.masks.items()
        },
    )


def suppressed_again(p: ScanPrediction, settings: InferenceSettings) -> ScanPrediction:
    """Suppress decoded boxes and masks over all tiles."""
    if p.dfps_boxes is None or p.dfps_probability is None:
        return p
    rows = np.flatnonzero(p.kept)
    order = rows[nms(p.dfps_boxes[rows], p.dfps_probability[rows], settings.nms_iou)]
    kept = np.zeros(len(p.kept), bool)
    kept[order] = True
    masks = {int(row): p.masks[row] for row in order.tolist() if row in p.masks}
    return ScanPrediction(
        p.ncs_boxes,
        p.ncs_probability,
        p.dfps_boxes,
        p.dfps_probability,
        kept,
        suppress_masks(masks, settings.mask_iou),
    )
