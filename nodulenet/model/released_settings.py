"""What the published weights were trained with: released.yaml over lidc.yaml.

The sections are those of the config. Of `train` only the published values are here: device,
precision and seed of that training are not known.
"""

from typing import Any

RELEASED: dict[str, Any] = {
    "preprocess": {
        "resample": True,
        "grid": "corners",
        "hu_window": [-1200, 600],
        "pad_value": 170,
        "margin": 5,
    },
    "model": {"width": 1.0, "dfps_features": "enc2"},
    "ncs": {
        "positive_iou": 0.5,
        "negative_iou": 0.02,
        "positives": "one_per_crop",
        "negatives": 800,
        "hard_negatives": 3,
        "proposal_threshold": 0.5,
        "nms_iou": 0.1,
        "proposals": 300,
        "box_weight": 1,
        "weight": 1,
    },
    "dfps": {
        "positive_iou": 0.5,
        "negative_iou": 0.1,
        "positives": 32,
        "samples": 64,
        "regression": False,
        "box_weight": 1,
        "weight": 1,
    },
    "sr": {
        "threshold": 0.5,
        "nms_iou": 0.1,
        "snap": "truncate",
        "alpha": 0.5,
        "beta": 0.5,
        "reduction": "sum",
        "weight": 1,
    },
    "targets": {"margin_total": 8},
    "augment": {
        "flip": True,
        "rotate": True,
        "scale": [0.75, 1.25],
        "margin": 12,
        "jitter": 6,
        "rotation_fill": 0,
        "random_crops": 0,
    },
    "train": {
        "stages": {
            "ncs": {"epochs": 64, "branches": ["ncs"]},
            "dfps": {"after": "ncs", "epochs": 15, "branches": ["ncs", "dfps"]},
            "full": {"after": "dfps", "epochs": 121, "branches": ["ncs", "dfps", "sr"]},
        },
        "batch": 16,
        "crop": 128,
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0001,
    },
}
