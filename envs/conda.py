"""Write the conda environments of the rules: `python envs/conda.py`.

The requirements come from pyproject.toml, the versions from constraints.txt. Snakemake copies an
environment's file before using it, so the file cannot refer to another one; and since it contains
the versions, an environment is rebuilt when one changes.
"""

import re
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent
CPU_WHEELS = "--extra-index-url https://download.pytorch.org/whl/cpu"
HEADS = {
    "cpu": "The rules that use no GPU",
    "gpu": "Training and prediction: torch comes with CUDA, and runs without",
}


def main() -> None:
    """Write cpu.yaml and gpu.yaml."""
    for name in HEADS:
        (FOLDER / f"{name}.yaml").write_text(render(name))


def render(name: str) -> str:
    """The text of an environment; gpu: with the extra of that name."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    if name == "gpu":
        wanted += project["optional-dependencies"]["gpu"]
    pinned = pins((FOLDER / "constraints.txt").read_text())
    packages = sorted((re.split("[><=~ ]", line)[0] for line in wanted), key=str.lower)
    lines = [] if name == "gpu" else [CPU_WHEELS]
    lines += [f"{package}=={pinned[plain(package)]}" for package in packages]
    return "\n".join(
        [
            f"# {HEADS[name]}, for `snakemake --sdm conda`.",
            "# Written by `python envs/conda.py` from pyproject.toml and constraints.txt.",
            "# nodulenet itself is found where Snakemake runs.",
            "channels: [conda-forge, nodefaults]",
            "dependencies:",
            "  - python=3.11",
            "  - pip",
            "  - pip:",
            *(f"      - {line}" for line in lines),
            "",
        ]
    )


def pins(text: str) -> dict[str, str]:
    """Package -> version of a file of constraints."""
    pairs = (line.split("==") for line in text.splitlines() if "==" in line)
    return {plain(name): version for name, version in pairs}


def plain(package: str) -> str:
    """A package's name without extras, as PyPI compares names."""
    return package.partition("[")[0].lower().replace("_", "-")


if __name__ == "__main__":
    main()
