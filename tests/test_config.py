"""Config files: merged, and numbers that YAML would read as others refused."""

from pathlib import Path

import pytest

from nodulenet.config import read_config
from nodulenet.files import InputError


def test_plain_numbers_and_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text('a: {b: [1, -2, 0, 1.5, 1.0e-3], c: "1_0"}\nd: 1e-3x\ne: true\n1.5: x\n')
    content = {"a": {"b": [1, -2, 0, 1.5, 0.001], "c": "1_0"}, "d": "1e-3x", "e": True, 1.5: "x"}
    assert read_config([path]) == content


@pytest.mark.parametrize(
    "slip", ["1_0", "1_0.5", "0x10", "010", "0b11", "1:30", ".inf", "-.inf", ".nan"]
)
@pytest.mark.parametrize("text", ["a: 1\nb:\n  c: {}\n", "a: 1\nb:\n - [1, {}]\n"])
def test_other_numbers_are_named(tmp_path: Path, text: str, slip: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text.format(slip))
    with pytest.raises(InputError) as error:
        read_config([path])
    assert str(error.value) == f"{path}: line 3: {slip} is not a plain number"
