"""A folder as the how-to pages assume it: data as if downloaded, their files of config, tables."""

import re
import shutil
from pathlib import Path

import numpy as np
import pages
import tiny
import trees

from nodulenet.cli import main

LINKED = (
    *("Snakefile", "rules", "workflow_scripts", "envs", "profiles", "nodulenet"),
    *("config.yaml", "lidc.yaml", "luna16.yaml", "released.yaml", "demo.tsv", "demo_other.tsv"),
    *("pretrain.yaml", "pretrain.tsv"),
)
NAMED = re.compile(r"# ([\w.]+\.yaml)\n")
SUBSETS = 10
SERIES = [f"1.2.826.{number}" for number in range(1, SUBSETS + 1)]


def build(folder: Path) -> None:
    """Make the workflow and the made-up data below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        (folder / name).symlink_to(pages.ROOT / name)
    write_luna16(folder / "data")
    for name in ("ct", "lidc"):
        shutil.copytree(folder / "data/luna16/subset0", folder / "data" / name)
    shutil.copytree(folder / "data/lidc-xml", folder / "data/xml")
    write_submission(folder)
    write_configs(folder)
    shutil.copy(pages.ROOT / "tests/workflow/real.yaml", folder)
    for name in ("a", "published"):
        (folder / "weights").mkdir(exist_ok=True)
        (folder / f"weights/{name}.pt").touch()


def write_luna16(data: Path) -> None:
    """Ten subsets of a scan each, lung masks, the challenge's tables, and XML of four scans."""
    nothing = np.full(tiny.SHAPE, -850, np.int16)
    for number, series in enumerate(SERIES):
        subset = data / f"luna16/subset{number}"
        subset.mkdir(parents=True)
        tiny.write_mhd(subset / f"{series}.mhd", nothing)
        (data / "seg-lungs-LUNA16").mkdir(exist_ok=True)
        tiny.write_mhd(data / f"seg-lungs-LUNA16/{series}.mhd", tiny.draw_lungs())
    for series in tiny.SERIES:
        (data / "lidc-xml").mkdir(exist_ok=True)
        (data / f"lidc-xml/{series}.xml").write_text(tiny.draw_xml(series))
    head = tiny.draw_table().splitlines()[0]
    tables = {
        "annotations": tiny.draw_table(),
        "annotations_excluded": f"{head}\n{tiny.SERIES[0]},20,40,16,-1\n",
        "seriesuids": "".join(f"{series}\n" for series in SERIES),
    }
    for name, text in tables.items():
        (data / f"luna16/{name}.csv").write_text(text)


def write_submission(folder: Path) -> None:
    """The challenge's tables and two submissions, where the page on evaluation has them."""
    for path in (folder / "data/luna16").glob("*.csv"):
        shutil.copy(path, folder / path.name)
    rows = tiny.draw_table().splitlines()[1:]
    marks = [f"{','.join(row.split(',')[:4])},0.9\n" for row in rows]
    for name, kept in (("mine", marks), ("other", marks[:2])):
        (folder / f"{name}.csv").write_text(
            "seriesuid,coordX,coordY,coordZ,probability\n" + "".join(kept)
        )
    numbered = "".join(f"{series},{number}\n" for number, series in enumerate(SERIES))
    (folder / "subsets.csv").write_text(f"seriesuid,subset\n{numbered}")


def write_configs(folder: Path) -> None:
    """The config files that the pages show, and scan tables for all."""
    head = "series_uid\tpatient_id\tct\tannotations\tlung_mask\n"
    for name in ("lidc", "mine", "real", "lndb", "clinic"):
        rows = [write_row(series, "data/lidc-xml/{}.xml") for series in tiny.SERIES]
        (folder / f"{name}.tsv").write_text(head + "".join(rows))
    trees.lndb(folder / "data/LNDb")
    index = ["index", "--layout", "lndb", "--root", str(folder / "data/LNDb")]
    assert main([*index, "--output", str(folder / "lndb.tsv")]) == 0
    rows = [write_row(series, "data/luna16/annotations.csv") for series in tiny.SERIES]
    (folder / "luna16.tsv").write_text(head + "".join(rows))
    for path in pages.PAGES:
        for _, text in pages.fenced(path, "yaml"):
            if named := NAMED.match(text):
                (folder / named[1]).write_text(text)


def write_row(series: str, annotations: str) -> str:
    """A row of a scan table."""
    number = SERIES.index(series)
    ct, lungs = f"data/luna16/subset{number}/{series}.mhd", f"data/seg-lungs-LUNA16/{series}.mhd"
    return f"{series}\tP{number}\t{ct}\t{annotations.format(series)}\t{lungs}\n"
