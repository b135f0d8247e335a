"""Files that mean harm: bombs, entities, pickles, and names that climb out of the results."""

import os
import pickle
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dicom_files
import lidc_text
import numpy as np
import pytest
import tiny
import torch

from nodulenet.annotations import find_readings, read_lidc_xml
from nodulenet.files import CorruptArtefact, InputError
from nodulenet.imaging import find_series, read_volume
from nodulenet.model.weights import load_tensors
from nodulenet.scan_table import read_scan_table

ROOT = Path(__file__).parents[2]
CLIMBING = (
    "../../../tmp/x",
    "/etc/passwd",
    "1.2/../../x",
    "1.2\\..\\x",
    "1" * 65,
    "1..2",
    ".",
)
# 10 entities, each ten of the one before: ten thousand million letters in 800 bytes.
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE b [<!ENTITY l0 "{"x" * 10}">{LAUGHS}]>'


def with_dtd(declaration: str, series: str) -> str:
    head, rest = lidc_text.document("", series=series).split("\n", 1)
    return f"{head}\n{declaration}\n{rest}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("declaration", "series"),
    [
        (BOMB, "&l9;"),
        (BOMB.replace('"x', "\"<a b='&l9;'/>x"), "&l0;"),
        ('<!DOCTYPE r [<!ENTITY f SYSTEM "secret.txt">]>', "&f;"),
        ('<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">', "1.2.3"),
        ('<!DOCTYPE r [<!ENTITY % p SYSTEM "secret.txt"> %p;]>', "1.2.3"),
    ],
)
def test_entities_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declaration: str, series: str, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text("4.5.6")
    path = tmp_path / "a.xml"
    text = with_dtd(declaration, series).replace("UTF-8", encoding.upper())
    path.write_bytes(text.encode(encoding))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as caught:
        read_lidc_xml(path)
    assert "4.5.6" not in str(caught.value)
    found, passed = find_readings(tmp_path)
    assert list(found) == [] or encoding == "utf-16"  # there the head alone shows no harm
    assert len(found) + len(passed) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


class Harm:
    """Unpickled with all of pickle's powers, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("plain", [False, True])
def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path, plain: bool) -> None:
    path, made = tmp_path / "weights.pt", tmp_path / "made"
    content: Any = {"format": 1, "state_dict": {"a": torch.zeros(2), "b": Harm(made)}}
    if plain:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(CorruptArtefact) as caught:
        load_tensors(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not made.exists()


def test_arrays_with_objects_are_not_unpickled(tmp_path: Path) -> None:
    from nodulenet.masks import read_masks

    made = tmp_path / "made"
    np.savez(tmp_path / "m.npz", rows=np.array([Harm(made)], object))
    with pytest.raises(CorruptArtefact, match=r"m\.npz: "):
        read_masks(tmp_path / "m.npz")
    assert not made.exists()


@pytest.mark.parametrize("kind", ["zraw", "nii.gz", "nrrd"])
def test_a_file_that_inflates_without_end_takes_no_memory(tmp_path: Path, kind: str) -> None:
    # A mebibyte of zeros deflates to one of its thousand parts; the header announces 8 voxels.
    path = write_bomb(tmp_path, kind)
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from nodulenet.imaging import read_volume; from nodulenet.files import InputError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_volume(Path(sys.argv[1]))\n"
        "except InputError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 or kind == "nrrd"  # a NRRD reader takes what it needs and stops
    assert int(lines[-1]) < 100_000  # KiB; whole it is 400 MB


def write_bomb(folder: Path, kind: str) -> Path:
    """An image of 8 voxels (2, 2, 2) whose compressed data inflates to 400 MB."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31 if kind != "zraw" else 15)
    head = b""
    if kind == "nii.gz":
        head = struct.pack("<i36x8h", 348, 3, 2, 2, 2, 1, 1, 1, 1) + bytes(12)
        head += struct.pack("<hhh8ff", 2, 8, 0, *([1.0] * 8), 352.0)
        head = head.ljust(344, b"\0") + b"n+1\0" + bytes(4)
    parts = [stream.compress(head), *(stream.compress(bytes(1 << 20)) for _ in range(400))]
    data = b"".join([*parts, stream.flush()])
    if kind == "nii.gz":
        (folder / "x.nii.gz").write_bytes(data)
        return folder / "x.nii.gz"
    if kind == "nrrd":
        text = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: gzip\n"
        text += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace: left-posterior-superior\n\n"
        (folder / "x.nrrd").write_bytes(text.encode() + data)
        return folder / "x.nrrd"
    (folder / "x.zraw").write_bytes(data)
    (folder / "x.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = True\n"
        f"CompressedDataSize = {len(data)}\nElementSpacing = 1 1 1\nDimSize = 2 2 2\n"
        "ElementType = MET_UCHAR\nElementDataFile = x.zraw\n"
    )
    return folder / "x.mhd"


@pytest.mark.parametrize("uid", CLIMBING)
def test_a_name_that_is_no_uid_is_refused_wherever_it_comes_from(tmp_path: Path, uid: str) -> None:
    xml = tmp_path / "xml"
    xml.mkdir()
    (xml / "a.xml").write_text(lidc_text.document("", series=uid))
    with pytest.raises(InputError, match=r"a\.xml: names the series .* not a UID"):
        read_lidc_xml(xml / "a.xml")
    found, passed = find_readings(xml)
    assert (found, len(passed)) == ({}, 1)

    dicom = tmp_path / "dicom"
    dicom.mkdir()
    dicom_files.write_slice(dicom / "a.dcm", np.zeros((4, 4), np.int16), (0, 0, 0), series=uid)
    with pytest.raises(InputError, match=r"not a UID|bad DICOM header"):
        read_volume(dicom)
    series, unusable = find_series(dicom)
    assert (series, len(unusable)) == ([], 1)

    images = tmp_path / "images"
    tiny.write_scan(images, tiny.SERIES[0], 0)
    header = images / f"{tiny.SERIES[0]}.mhd"
    header.write_text(header.read_text().replace("NDims", f"SeriesInstanceUID = {uid}\nNDims"))
    series, unusable = find_series(images)
    assert header not in [found.path for found in series]
    assert header in [path for path, _ in unusable]

    table = tmp_path / "scans.tsv"
    table.write_text(
        f"series_uid\tpatient_id\tct\tannotations\tlung_mask\n{uid}\tP\tx.mhd\tx.xml\t\n"
    )
    with pytest.raises(InputError, match=r"scans\.tsv: line 2: series_uid .* is not a UID"):
        read_scan_table(table)


def test_nothing_unpacks_an_archive() -> None:
    # What does not exist cannot be made to write outside its folder.
    unpackers = ("tarfile", "unpack_archive", "extractall", "shelve", "pickle.load")
    for path in [*(ROOT / "nodulenet").rglob("*.py"), *(ROOT / "workflow_scripts").glob("*.py")]:
        source = path.read_text()
        assert not [word for word in unpackers if word in source], path
