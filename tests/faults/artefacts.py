"""What two runs must have in common, byte for byte."""

from pathlib import Path

import pandas as pd

TIMINGS = ["seconds", "samples_per_s", "data_wait_s", "step_s"]


def tree(folder: Path) -> dict[str, bytes]:
    """The artefacts below a folder, but for TensorBoard's events, what shows the time that the jobs
    took (table, figure, report), and what a kill left behind.
    """
    timed = ("timings", "report")
    paths = [path for path in folder.rglob("*") if path.is_file() and path.stem not in timed]
    wanted = [p for p in paths if "tensorboard" not in p.parts and not p.name.startswith(".")]
    return {str(path.relative_to(folder)): artefact(path) for path in wanted}


def artefact(path: Path) -> bytes:
    """A file's bytes; of a history all but its timings."""
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns=TIMINGS).to_csv().encode()
    return path.read_bytes()
