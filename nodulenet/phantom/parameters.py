"""Every parameter of a synthetic chest with its distribution: the domain randomisation.

A parameter is drawn from one distribution, by itself, from the seed of the scan and its own name:
a parameter that is added or changed leaves the others as they were. A preset replaces some of the
distributions; `docs/phantom.md` has the table.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

Kind = Literal["uniform", "log-uniform", "whole"]


@dataclass(frozen=True)
class Distribution:
    """A distribution between `low` and `high`, both included; equal bounds are a constant.

    whole: every whole number between the bounds is equally likely.
    """

    kind: Kind
    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.low == self.high:
            return self.low
        if self.kind == "whole":
            return float(rng.integers(int(self.low), int(self.high) + 1))
        if self.kind == "log-uniform":
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:g}"
        return f"{self.kind} {self.low:g} to {self.high:g}"


def uniform(low: float, high: float) -> Distribution:
    """A uniform distribution."""
    return Distribution("uniform", low, high)


def log_uniform(low: float, high: float) -> Distribution:
    """A distribution that is uniform in the logarithm."""
    return Distribution("log-uniform", low, high)


def whole(low: int, high: int) -> Distribution:
    """A uniform distribution of whole numbers."""
    return Distribution("whole", low, high)


def always(value: float) -> Distribution:
    """A constant."""
    return uniform(value, value)


def _drawn(distribution: Distribution, unit: str, meaning: str) -> Any:
    return field(metadata={"distribution": distribution, "unit": unit, "meaning": meaning})


@dataclass(frozen=True)
class Parameters:
    """The values of one scan, in the units of the table."""

    # The scan.
    pixel: float = _drawn(uniform(0.55, 0.85), "mm", "pixel spacing")
    thickness: float = _drawn(log_uniform(0.6, 5.0), "mm", "slice thickness")
    overlap: float = _drawn(uniform(0.7, 1.0), "", "slice spacing by slice thickness")
    extent: float = _drawn(uniform(112, 144), "mm", "extent of the slices")
    level: float = _drawn(uniform(0, 1), "", "place of the slices: 0 at the base, 1 at the apex")
    plane: float = _drawn(always(1.0), "mm", "step between the planes of a slice, at most")
    # The chest.
    half_width: float = _drawn(uniform(108, 140), "mm", "half the width of both lungs")
    flatness: float = _drawn(uniform(0.62, 0.78), "", "depth of the lungs by their width")
    height: float = _drawn(uniform(190, 260), "mm", "height of the lungs")
    dome: float = _drawn(uniform(30, 60), "mm", "height of the domes of the diaphragm")
    heart: float = _drawn(uniform(0.85, 1.25), "", "size of the heart by its usual size")
    beat: float = _drawn(uniform(0, 4), "mm", "motion of the heart between slices")
    fat: float = _drawn(uniform(4, 30), "mm", "fat below the skin")
    arms: float = _drawn(whole(0, 3), "", "0: the arms lie beside the chest")
    # Lung tissue.
    lung_hu: float = _drawn(uniform(-905, -800), "HU", "mean of the lung tissue")
    gradient: float = _drawn(uniform(10, 70), "HU", "rise of the lung tissue from front to back")
    grain: float = _drawn(uniform(6, 22), "HU", "standard deviation of fine structure, 1 to 2 mm")
    patches: float = _drawn(uniform(4, 22), "HU", "standard deviation of coarse structure, 8 mm")
    emphysema: float = _drawn(uniform(-2.2, 0.8), "", "share of emphysema; below 0 none")
    dependent: float = _drawn(uniform(-1.5, 1), "", "dependent density at the back; below 0 none")
    fissure: float = _drawn(uniform(0.02, 0.3), "mm", "thickness of the fissures")
    # Vessels and bronchi.
    blood_hu: float = _drawn(uniform(25, 170), "HU", "blood, with and without contrast agent")
    vessel_step: float = _drawn(uniform(9, 12.5), "mm", "distance between vessel ends")
    leaf_radius: float = _drawn(uniform(0.34, 0.58), "mm", "radius of the last vessels")
    murray: float = _drawn(uniform(2.15, 2.6), "", "exponent of Murray's law")
    bend: float = _drawn(uniform(0.5, 1.4), "mm", "random bend of a vessel every 6 mm")
    bronchus: float = _drawn(uniform(0.6, 0.9), "", "lumen of a bronchus by its artery's diameter")
    wall: float = _drawn(uniform(0.6, 1.4), "", "thickness of bronchial walls by its usual value")
    # Findings that are not nodules, in number.
    dots: float = _drawn(whole(0, 4), "", "soft dots below 3 mm")
    granulomas: float = _drawn(whole(0, 4), "", "calcified dots below 3 mm")
    scars: float = _drawn(whole(0, 6), "", "scars: thin irregular strands")
    bands: float = _drawn(whole(0, 3), "", "bands and plates of atelectasis")
    plaques: float = _drawn(whole(0, 5), "", "flat thickenings of the pleura")
    bumps: float = _drawn(whole(0, 6), "", "bumps of ribs, cartilage and vertebrae")
    thickenings: float = _drawn(whole(0, 3), "", "thickenings of a fissure")
    lymph_nodes: float = _drawn(whole(2, 8), "", "lymph nodes in the mediastinum")
    cap: float = _drawn(uniform(-3, 6), "mm", "thickness of the apical caps; below 0 none")
    # Nodules.
    nodules: float = _drawn(whole(7, 14), "", "number of nodules")
    # Acquisition.
    blur: float = _drawn(uniform(0.3, 0.65), "mm", "standard deviation of the in-plane blur")
    sharpness: float = _drawn(uniform(-1, 1), "", "edge enhancement of the kernel; below 0 none")
    noise: float = _drawn(log_uniform(7, 55), "HU", "standard deviation of the noise")
    noise_size: float = _drawn(log_uniform(0.35, 0.95), "mm", "grain of the noise")
    streaks: float = _drawn(uniform(-8, 12), "HU", "streaks along x; below 0 none")
    offset: float = _drawn(uniform(-12, 12), "HU", "offset of all values")


_DEMO: dict[str, Distribution] = {
    "grain": uniform(4, 9), "patches": uniform(4, 10),
    "leaf_radius": uniform(0.3, 0.46), "murray": uniform(2.3, 2.65), "emphysema": always(-1),
    "dependent": always(-1), "blood_hu": uniform(35, 60), "vessel_step": uniform(15, 17),
    "dots": always(0), "granulomas": always(5), "scars": always(4), "bands": always(0),
    "plaques": always(4), "bumps": always(2), "thickenings": always(4),
    "lymph_nodes": always(2), "cap": always(-1), "lung_hu": uniform(-880, -860),
    "gradient": uniform(20, 40), "half_width": uniform(104, 122), "fat": uniform(4, 12),
    "plane": always(1.6),
    "noise": uniform(18, 24), "noise_size": uniform(0.5, 0.6), "blur": always(0.45),
    "sharpness": always(-1), "streaks": always(-1), "offset": always(0), "beat": always(0),
    "level": uniform(0.4, 0.55), "arms": always(1),
}  # fmt: skip
_OTHER: dict[str, Distribution] = _DEMO | {
    "noise": uniform(32, 40), "noise_size": uniform(0.35, 0.45), "blur": always(0.35),
    "sharpness": always(0.8), "offset": always(-20),
}  # fmt: skip
PRESETS: Mapping[str, Mapping[str, Distribution]] = MappingProxyType(
    {
        "pretrain": MappingProxyType({}),
        "demo": MappingProxyType(_DEMO),
        "demo_other": MappingProxyType(_OTHER),
    }
)
"""The distributions of each preset that differ from the table's."""


def distributions(preset: str) -> dict[str, Distribution]:
    """The distribution of every parameter. Raises `KeyError` for an unknown preset."""
    table = {one.name: one.metadata["distribution"] for one in fields(Parameters)}
    return table | dict(PRESETS[preset])


def draw_parameters(seed: int, preset: str) -> Parameters:
    """The values of the scan with this seed."""
    return Parameters(
        **{
            name: distribution.draw(np.random.default_rng([seed, zlib.crc32(name.encode())]))
            for name, distribution in distributions(preset).items()
        }
    )
