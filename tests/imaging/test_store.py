"""Preprocessed scans on disk."""

import numpy as np
import pytest

from nodulenet.files import InputError
from nodulenet.imaging import Volume, write_scan
from nodulenet.imaging.store import open_scan


@pytest.fixture
def paths(tmp_path):
    names = {"volume": "s.npy", "record": "s.json", "mask": "s_mask.npy"}
    return {kind: tmp_path / name for kind, name in names.items()}


@pytest.fixture
def volume(paths):
    array = np.random.default_rng(0).integers(0, 255, (5, 6, 7)).astype(np.uint8)
    affine = np.array([[0, 0, 1 / 3, 1], [0, 0.7, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]])
    volume = Volume(np.asfortranarray(array), affine)
    write_scan(paths, volume, (array % 3).astype(np.uint16), {"series_uid": "1.2"})
    return volume


def test_round_trip(paths, volume):
    array, affine, record = open_scan(paths["volume"], paths["record"])
    assert isinstance(array, np.memmap)
    assert np.array_equal(array, volume.array)
    assert np.array_equal(affine, volume.affine)
    assert record["series_uid"] == "1.2"
    labels, _, _ = open_scan(paths["mask"], paths["record"])
    assert labels.dtype == np.uint16
    assert np.array_equal(labels, volume.array % 3)
    assert len(list(paths["volume"].parent.iterdir())) == 3


def test_empty_scan(paths):
    nothing = np.zeros((0, 0, 0), np.uint8)
    write_scan(paths, Volume(nothing, np.eye(4)), nothing, {"status": "no lungs"})
    array, _, record = open_scan(paths["volume"], paths["record"])
    assert array.shape == (0, 0, 0)
    assert record["status"] == "no lungs"


def test_labels_of_another_shape(paths, volume):
    with pytest.raises(ValueError, match="shape"):
        write_scan(paths, volume, np.zeros((1, 1, 1), np.uint8), {})


def test_broken_files(paths, volume):
    array, record = paths["volume"], paths["record"]
    raw = array.read_bytes()
    text = record.read_text()
    array.write_bytes(raw[:-1])
    with pytest.raises(InputError, match=r"s\.npy: damaged or cut short"):
        open_scan(array, record)
    np.save(array, volume.array[1:])
    with pytest.raises(InputError, match=r"s\.npy: has the shape \(4, 6, 7\)"):
        open_scan(array, record)
    np.save(array, volume.array.astype(float))
    with pytest.raises(InputError, match=r"s\.npy: voxels of type float64"):
        open_scan(array, record)
    array.write_bytes(b"")
    with pytest.raises(InputError, match=r"s\.npy: damaged"):
        open_scan(array, record)
    array.unlink()
    with pytest.raises(InputError, match=r"s\.npy: No such file"):
        open_scan(array, record)
    record.write_text(text.replace("affine", "afine"))
    with pytest.raises(InputError, match=r"s\.json: not a record of a scan: .*affine"):
        open_scan(array, record)
    record.write_text(text[:-20])
    with pytest.raises(InputError, match=r"s\.json: not valid JSON"):
        open_scan(array, record)
