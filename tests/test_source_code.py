"""The code that decides a rule's result: what belongs to it, and what an edit changes."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodulenet import source_code
from nodulenet.source_code import code_digest, code_files

ROOT = Path(__file__).parents[1]
SCORER = "nodulenet.evaluation.held_out"
FILES = {
    "nodulenet/__init__.py": '__version__ = "1"\n',
    "nodulenet/a/__init__.py": (
        "from nodulenet.a.one import f\nfrom nodulenet.a.two import g as h\n"
    ),
    "nodulenet/a/one.py": "import nodulenet.b.deep\n",
    "nodulenet/a/two.py": "try:\n    x = 1\nexcept OSError:\n    from nodulenet.c import y\n",
    "nodulenet/b/__init__.py": "",
    "nodulenet/b/deep.py": "def late():\n    from nodulenet.a import h\n    return h\n",
    "nodulenet/b/table.tsv": "1",
    "nodulenet/c.py": "from nodulenet import __version__\nfrom numpy import array\n",
    "nodulenet/d/__init__.py": "from nodulenet.a import f as k\nOWN = 1\n",
    "nodulenet/d/page.html": "1",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of our own in the place of nodulenet."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(source_code, "PACKAGE", tmp_path / "nodulenet")
    forget()
    yield tmp_path / "nodulenet"
    forget()


def forget() -> None:
    for function in vars(source_code).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def files(package: Path, script: str, *without: str) -> set[str]:
    path = package.parent / "script.py"
    path.write_text(script)
    forget()
    return {file.relative_to(package).as_posix() for file in code_files(path, without)}


BEHIND_ONE = {"a/one.py", "b/deep.py", "b/table.tsv", "a/two.py", "c.py"}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import numpy", set()),
        ("from nodulenet import __version__", set()),
        ("from nodulenet.a import h", {"a/two.py", "c.py"}),
        ("from nodulenet.a.two import g", {"a/two.py", "c.py"}),
        ("with x:\n    from nodulenet.a import f", BEHIND_ONE),
        ("from nodulenet.d import k", BEHIND_ONE),
        ("from nodulenet import c", {"c.py"}),
        ("from nodulenet.b import deep as x", BEHIND_ONE - {"a/one.py"}),
        ("from nodulenet.d import OWN", {"d/__init__.py", "d/page.html"} | BEHIND_ONE),
        ("match x:\n  case 1:\n    from nodulenet import c", {"c.py"}),
        ("if x:\n  pass\nelse:\n  import nodulenet.c as z", {"c.py"}),
        ("import nodulenet.c as z, nodulenet.a.two  # x", {"c.py", "a/two.py"}),
        (
            "from nodulenet import (  # x\n    c,  # and, y\n    b as d,\n)",
            {"b/__init__.py", "b/table.tsv", "c.py"},
        ),
    ],
)
def test_what_a_script_imports(package: Path, script: str, expected: set[str]) -> None:
    assert files(package, script) == expected


def test_imports_are_found_where_python_finds_them() -> None:
    for path in (*source_code.PACKAGE.rglob("*.py"), *(ROOT / "workflow_scripts").glob("*.py")):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names if alias.name.startswith("nodulenet")}
            elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("nodulenet"):
                module = str(node.module)
                names |= {source_code.defining_module(module, a.name) for a in node.names}
        found = source_code.imported_modules(path)
        if path.parent.name == "doctor":  # which has programs as text
            assert names <= found, path
        else:
            assert names - {"nodulenet"} == found, path


def test_a_module_can_be_passed_over(package: Path) -> None:
    assert files(package, "from nodulenet.a import h", "nodulenet.c") == {"a/two.py"}
    with pytest.raises(ValueError, match=r"there is no module nodulenet\.e"):
        files(package, "from nodulenet.a import h", "nodulenet.e")


@pytest.mark.parametrize("name", FILES)
def test_an_edit_within_changes_the_digest_and_one_outside_does_not(
    package: Path, name: str
) -> None:
    path = package.parent / "script.py"
    path.write_text("from nodulenet.a import f\n")
    before = code_digest(path)
    (package.parent / name).write_text(FILES[name] + "\n")
    forget()
    inside = name.removeprefix("nodulenet/") in BEHIND_ONE
    assert (code_digest(path) != before) == inside


def test_passing_a_name_on_from_elsewhere_changes_the_digest(package: Path) -> None:
    path = package.parent / "script.py"
    path.write_text("from nodulenet.a import h\n")
    before = code_digest(path)
    (package / "a/__init__.py").write_text("from nodulenet.c import g as h\n")
    forget()
    assert code_digest(path) != before


@pytest.mark.parametrize(
    ("script", "inside", "outside"),
    [
        ("annotations", ["annotations/lidc_xml.py"], ["imaging/lungs.py", "model/network.py"]),
        ("check_weights", ["model/network.py", "model/backbone.py"], ["training/engine.py"]),
        ("demo_scan", ["demo/cohort.tsv", "imaging/volume.py"], ["cohort/steps.py"]),
        ("preprocess", ["imaging/lungs.py", "imaging/nifti.py"], ["boxes/nms.py"]),
        ("train", ["boxes/cuda_kernels.py", "model/losses.py"], ["evaluation/froc.py"]),
        ("predict", ["inference/tiles.py", "boxes/nms.py"], ["evaluation/froc.py"]),
        ("evaluate", ["evaluation/froc.py", "plots/froc.py"], ["report/page.py"]),
        ("cohort_report", ["report/report.js", "pages/base.html"], ["findings/page.html"]),
    ],
)
def test_the_code_of_the_rules(script: str, inside: list[str], outside: list[str]) -> None:
    own = code_files(ROOT / f"workflow_scripts/{script}.py", [SCORER] if script == "train" else [])
    names = {path.relative_to(source_code.PACKAGE).as_posix() for path in own}
    assert all((source_code.PACKAGE / name).exists() for name in (*inside, *outside))
    assert set(inside) <= names
    assert not set(outside) & names


def test_a_training_that_is_watched_depends_on_who_scores_it() -> None:
    script = ROOT / "workflow_scripts/train.py"
    assert source_code.PACKAGE / "evaluation/froc.py" in code_files(script)


def test_every_rule_takes_the_digest_of_its_own_script() -> None:
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            (script,) = re.findall(r'"../workflow_scripts/(\w+)\.py"', rule)
            assert re.findall(r'\bcode=code\("(\w+)"', rule) == [script], rule


def test_the_clone_and_a_copy_of_it_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ROOT / "workflow_scripts/evaluate.py"
    before = code_digest(script)
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "nodulenet", tmp_path / "nodulenet", ignore=skipped)
    monkeypatch.setattr(source_code, "PACKAGE", tmp_path / "nodulenet")
    forget()
    assert code_digest(script) == before
    forget()
