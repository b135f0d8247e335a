"""A cohort of four tiny synthetic scans, written as MetaImage and LIDC XML by this file alone."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

SHAPE = (20, 64, 64)
SPACING = (2.0, 1.0, 1.0)
NAMESPACE = "http://www.nih.gov"
SERIES = [f"1.2.826.{number}" for number in range(1, 5)]
# (z, y, x) and radius in voxels of y and x, inside the right or the left lung.
NODULES = {
    SERIES[0]: [((9, 30, 18), 5), ((12, 36, 46), 4)],
    SERIES[1]: [((8, 28, 46), 6)],
    SERIES[2]: [((10, 34, 17), 5)],
    SERIES[3]: [],
}
CONFIG: dict[str, Any] = {
    "cohort": "tiny",
    "scans": "scans.tsv",
    "folds": {"number": 2, "seed": 0},
    "model": {"width": 0.125},
    "ncs": {"negatives": 50, "proposals": 10},
    "dfps": {"positives": 4, "samples": 8},
    "augment": {"random_crops": 0.5, "margin": 2},
    "train": {
        "stages": {
            "ncs": {"epochs": 1, "branches": ["ncs"]},
            "full": {"after": "ncs", "epochs": 8, "branches": ["ncs", "dfps", "sr"]},
        },
        "evaluate": ["full", "ncs"],
        "batch": 2,
        "crop": 32,
        "lr": 0.01,
        "device": "cpu",
        "amp": False,
    },
    "inference": {"ncs_threshold": 0.5},
    "froc": {"bootstrap": 10},
}


def write_cohort(folder: Path) -> dict[str, Any]:
    """Write the scans, scans.tsv and config.yaml into `folder`; returns the config."""
    rows = ["series_uid\tpatient_id\tct\tannotations\tlung_mask"]
    for number, series in enumerate(SERIES):
        write_scan(folder / "data", series, number)
        rows.append(
            f"{series}\tP{number}\tdata/{series}.mhd\tdata/{series}.xml\tdata/{series}_lungs.mhd"
        )
    (folder / "scans.tsv").write_text("\n".join(rows) + "\n")
    config = copy.deepcopy(CONFIG)
    write_config(folder, config)
    return config


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.yaml."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def write_boxes(folder: Path, scans: int = 2) -> None:
    """Make of a written cohort a second one of its first scans, of positions and diameters alone:
    boxes.csv, boxes.tsv and boxes.yaml, a config to name after config.yaml.
    """
    (folder / "boxes.csv").write_text(draw_table())
    head, *rows = (folder / "scans.tsv").read_text().splitlines()
    cells = [row.split("\t") for row in rows[:scans]]
    lines = ["\t".join([*row[:3], "boxes.csv", row[4]]) for row in cells]
    (folder / "boxes.tsv").write_text("\n".join([head, *lines]) + "\n")
    stage = {"after": None, "epochs": 2, "branches": ["ncs", "dfps"]}
    train = {"stages": {"dfps_only": stage}, "evaluate": ["dfps_only"]}
    config = {"cohort": "boxes", "scans": "boxes.tsv", "annotations": "table", "train": train}
    (folder / "boxes.yaml").write_text(yaml.safe_dump(config))


def draw_table() -> str:
    """The nodules of all scans in the challenge's format."""
    rows = ["seriesuid,coordX,coordY,coordZ,diameter_mm"]
    for series, nodules in NODULES.items():
        for (z, y, x), radius in nodules:
            place = (z * SPACING[0], y * SPACING[1], x * SPACING[2])[::-1]
            rows.append(",".join(map(str, (series, *place, 2 * radius))))
    return "\n".join(rows) + "\n"


def write_scan(folder: Path, series: str, seed: int) -> None:
    """Write one scan: the chest in soft tissue, two lungs in air, balls for the nodules."""
    folder.mkdir(parents=True, exist_ok=True)
    lungs = draw_lungs()
    hu = np.where(lungs > 0, -850, 40).astype(np.float64)
    for centre, radius in NODULES[series]:
        hu[draw_ball(centre, radius)] = 30
    hu += np.random.default_rng(seed).normal(0, 15, SHAPE)
    write_mhd(folder / f"{series}.mhd", np.rint(hu).astype(np.int16))
    write_mhd(folder / f"{series}_lungs.mhd", lungs)
    (folder / f"{series}.xml").write_text(draw_xml(series))


def draw_lungs() -> NDArray[np.uint8]:
    """Lung labels 3 and 4 on SHAPE."""
    z, y, x = np.indices(SHAPE)
    lungs = np.zeros(SHAPE, np.uint8)
    for label, middle in ((4, 18), (3, 46)):
        inside = ((z - 9.5) / 9) ** 2 + ((y - 32) / 22) ** 2 + ((x - middle) / 12) ** 2 < 1
        lungs[inside] = label
    return lungs


def draw_ball(centre: tuple[int, int, int], radius: int) -> NDArray[np.bool_]:
    """A ball of `radius` mm about a voxel."""
    squares = [
        ((axis - middle) * step) ** 2
        for axis, middle, step in zip(np.indices(SHAPE), centre, SPACING, strict=True)
    ]
    return np.sum(squares, axis=0) <= radius**2


def write_mhd(path: Path, array: NDArray) -> None:
    """Write a MetaImage header and its raw file; the world origin is at the first voxel."""
    kind = {"int16": "MET_SHORT", "uint8": "MET_UCHAR"}[array.dtype.name]
    raw = path.with_suffix(".raw")
    raw.write_bytes(array.tobytes())
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
        f"ElementSpacing = {SPACING[2]} {SPACING[1]} {SPACING[0]}\n"
        f"DimSize = {SHAPE[2]} {SHAPE[1]} {SHAPE[0]}\n"
        f"ElementType = {kind}\nElementDataFile = {raw.name}\n"
    )


def draw_xml(series: str) -> str:
    """LIDC XML in which four readers outline every nodule alike, and the first marks a point."""
    sessions = []
    for reader in range(4):
        marks = [
            draw_nodule(f"N{number}", centre, radius)
            for number, (centre, radius) in enumerate(NODULES[series])
        ]
        if reader == 0:
            marks.append(draw_point())
        sessions.append(f"<readingSession>{''.join(marks)}</readingSession>")
    return (
        f'<?xml version="1.0"?><LidcReadMessage xmlns="{NAMESPACE}"><ResponseHeader>'
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>"
        f"{''.join(sessions)}</LidcReadMessage>"
    )


def draw_nodule(name: str, centre: tuple[int, int, int], radius: int) -> str:
    """A nodule >= 3 mm, outlined by a circle on each of its slices."""
    rois = []
    for step in range(-radius // 2, radius // 2 + 1):
        side = radius**2 - (step * SPACING[0]) ** 2
        if side <= 1:
            continue
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        points = {
            (round(centre[2] + side**0.5 * np.cos(a)), round(centre[1] + side**0.5 * np.sin(a)))
            for a in angles
        }
        ordered = sorted(points, key=lambda p: np.arctan2(p[1] - centre[1], p[0] - centre[2]))
        rois.append(draw_roi((centre[0] + step) * SPACING[0], [*ordered, ordered[0]]))
    return (
        f"<unblindedReadNodule><noduleID>{name}</noduleID><characteristics><subtlety>5</subtlety>"
        f"<malignancy>3</malignancy></characteristics>{''.join(rois)}</unblindedReadNodule>"
    )


def draw_point() -> str:
    """A nodule < 3 mm."""
    roi = draw_roi(16.0, [(20, 40)])
    return f"<unblindedReadNodule><noduleID>S</noduleID>{roi}</unblindedReadNodule>"


def draw_roi(z: float, points: list[tuple[int, int]]) -> str:
    edges = "".join(
        f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points
    )
    return (
        f"<roi><imageZposition>{z}</imageZposition><imageSOP_UID>1.2.3</imageSOP_UID>"
        f"<inclusion>TRUE</inclusion>{edges}</roi>"
    )
