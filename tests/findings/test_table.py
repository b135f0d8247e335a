"""findings.csv: numbers as they are written."""

from pathlib import Path

import numpy as np

from nodulenet.findings.measure import Finding
from nodulenet.findings.table import COLUMNS, finding_rows, write_finding_rows
from nodulenet.imaging import Volume


def finding(number: int, probability: float, second: float | None) -> Finding:
    values = dict.fromkeys(Finding.__dataclass_fields__, 1.0)
    return Finding(
        **values
        | {
            "number": number,
            "position": np.array([1234.567, 0, -0.0004]),
            "mask": None,
            "probability": float(np.float32(probability)),
            "dfps_probability": second,
        }
    )


def test_probabilities_that_differ_in_float32_differ_in_the_table(tmp_path: Path) -> None:
    scan = Volume(np.zeros((2, 2, 2), np.int16), np.eye(4)[[2, 1, 0, 3]])
    found = [finding(1, 0.9999997, float(np.float32(0.1))), finding(2, 0.9999996, None)]
    rows = finding_rows("1.2", found, scan)
    assert [row["probability"] for row in rows] == [0.9999997, 0.9999996]
    assert [row["dfps_probability"] for row in rows] == [0.1, None]
    assert list(rows[0]) == list(COLUMNS)
    write_finding_rows(rows, tmp_path / "findings.csv")
    lines = (tmp_path / "findings.csv").read_text().splitlines()
    assert lines[1].startswith("1.2,1234.567,0.0,-0.0,0.9999997,")
    assert lines[2].startswith("1.2,1234.567,0.0,-0.0,0.9999996,")
