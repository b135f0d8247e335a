"""Which texts are numbers, in every table, file and option that users give."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet import cli
from nodulenet.annotations import read_lidc_xml, read_nodule_table
from nodulenet.annotations.challenge_csv import read_table, to_numbers
from nodulenet.cohort.folds import read_fold_list
from nodulenet.evaluation.submission import read_marks
from nodulenet.files import InputError
from nodulenet.findings.threshold import parse_threshold
from nodulenet.numerals import FOREIGN, NUMBER, to_count, to_number
from nodulenet.scan_table import read_scan_table

NUMBERS = {"0": 0, "-1": -1, "+2.50": 2.5, ".5": 0.5, "3.": 3, "1e3": 1000, "1.5E-2": 0.015}
NO_NUMBERS = (
    *("5_0", "1_000", "infinity", "inf", "-Inf", "nan", "NaN", "0x10", "1e999", "-1e999"),
    *("\uff15\uff10", "\u0663", "1\u066b5", "", " ", " 1", "1 ", "1\n", "1,5", "1.2.3", "e5", "."),
    *("-", "--1", "1e", "1e+"),
    *("\u00bd", "\u00b2", "1f", "1d", "1L", "0b1", "True", "None", "\u22121"),
)  # fmt: skip
COUNTS = {"0": 0, "007": 7, "123456789012345678": 123456789012345678}
NO_COUNTS = (*NO_NUMBERS, "-1", "+1", "1.0", "1e3", "1234567890123456789")


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_plain_numbers_are_read(text: str, value: float) -> None:
    assert to_number(text) == value


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_python_alone_calls_a_number_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number") as error:
        to_number(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(("text", "value"), COUNTS.items())
def test_plain_counts_are_read(text: str, value: int) -> None:
    assert to_count(text) == value


@pytest.mark.parametrize("text", NO_COUNTS)
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        to_count(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_read_back(value: float) -> None:
    assert to_number(repr(value)) == value


@given(st.text(alphabet="0123456789.eE+-", max_size=8))
def test_of_its_characters_python_reads_the_same_texts(text: str) -> None:
    assert not FOREIGN.search(text)
    try:
        value = float(text)
    except ValueError:
        assert NUMBER.fullmatch(text) is None
    else:
        assert NUMBER.fullmatch(text)
        assert math.isfinite(value) or "e" in text.lower()


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_column_is_read_as_its_cells_are(text: str) -> None:
    numbers = to_numbers([*NUMBERS, text])
    np.testing.assert_array_equal(numbers, [*NUMBERS.values(), np.nan])
    assert pd.isna(to_numbers([text])).all()
    assert len(to_numbers([])) == 0


HEAD = "seriesuid,coordX,coordY,coordZ,"
XML = (
    '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>1.2'
    "</SeriesInstanceUid></ResponseHeader><readingSession><unblindedReadNodule><noduleID>N"
    "</noduleID><characteristics><margin>{margin}</margin></characteristics><roi><imageZposition>"
    "{z}</imageZposition><inclusion>TRUE</inclusion><edgeMap><xCoord>{x}</xCoord><yCoord>2</yCoord>"
    "</edgeMap></roi></unblindedReadNodule></readingSession></LidcReadMessage>"
)
SCANS = "series_uid\tpatient_id\tct\tannotations\tlung_mask\tfold\n1.2\tA\ta\t\t\t{}\n"
GOOD = {"margin": "1", "z": "3", "x": "4"}
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "position": (HEAD + "diameter_mm\n1.2,1,{},3,5\n", lambda p: read_nodule_table(p, "1.2")),
    "diameter": (HEAD + "diameter_mm\n1.2,1,2,3,{}\n", lambda p: read_nodule_table(p, "1.2")),
    "probability": (HEAD + "probability\n1.2,1,2,3,{}\n", lambda p: read_marks(p, ["1.2"])),
    "folds": ("seriesuid,fold\n1.2,{}\n", read_fold_list),
    "scans": (SCANS, read_scan_table),
    **{key: (XML.format(**GOOD | {key: "{}"}), read_lidc_xml) for key in GOOD},
}
SLIPS = ("5_0", "1_000", "infinity", "nan", "0x10", "\uff15\uff10", "\u0663", "1e999")


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_a_slip_and_names_the_file(
    tmp_path: Path, name: str, slip: str
) -> None:
    text, read = READERS[name]
    path = tmp_path / "given.txt"
    path.write_text(text.format("0" if name in ("folds", "scans") else "1"), encoding="utf-8")
    assert read(path) is not None
    path.write_text(text.format(slip), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_further_column_is_of_numbers_only_if_all_its_cells_are(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("seriesuid,a,b,c,d\n1.2,1,2,1_0,\n1.3,2,,3,\n")
    table = read_table(path, ("seriesuid",))
    assert table["a"].tolist() == [1, 2]
    assert table["a"].dtype == np.int64
    np.testing.assert_array_equal(table["b"], [2, np.nan])
    assert table["c"].tolist() == ["1_0", "3"]
    assert table["d"].isna().all()


FROC = "froc --annotations a --excluded e --scans s --predictions p --output o --bootstrap"
PREDICT = "predict in --weights w --output o"
TRAIN = "train results --config c --stage s"
CORPUS = "consensus --annotations a --geometry g --output o --iou-threshold"
OPTIONS = (FROC, CORPUS, f"{PREDICT} --tile", f"{PREDICT} --pad-value", f"{PREDICT} --threshold",
           f"{TRAIN} --fold", f"{TRAIN} --fold 1 --threads")  # fmt: skip


@pytest.mark.parametrize("slip", ["1_28", "0_1", "\uff11\uff12\uff18", "nan", "0x80", "-1"])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_refuses_a_slip(
    option: str, slip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main([*option.split(), slip])
    assert error.value.code == 2
    assert slip in capsys.readouterr().err


def test_a_threshold_is_a_plain_number_or_rate() -> None:
    for text in ("0_1", "0.1_0", "1_0fp", "\u0661fp", "1/\u0668fp"):
        with pytest.raises(ValueError, match=r".+"):
            parse_threshold(text)


LOOSE = r"\.is(?:decimal|digit|numeric)\b|to_numeric|\btype=(?:int|float)\b|\\d"
# A frame that a caller gives holds numbers already; the check is whether they are.
CHECKED = {"nodulenet/annotations/challenge_csv.py"}


def test_nothing_else_of_python_or_pandas_tells_numbers_from_text() -> None:
    root = Path(__file__).parents[1]
    paths = {str(p.relative_to(root)): p for p in (root / "nodulenet").rglob("*.py")}
    assert {name for name, path in paths.items() if re.search(LOOSE, path.read_text())} == CHECKED
