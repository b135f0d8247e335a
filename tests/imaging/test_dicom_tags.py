"""Every number of a CT header, spoilt in every way: the right volume, or the file and the tag."""

import numpy as np
import pydicom
import pytest
from dicom_files import write_enhanced
from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag

from nodulenet.cohort.steps import Scan, preprocess_scan
from nodulenet.files import InputError, read_json, write_json
from nodulenet.imaging import find_series, read_geometry, read_scanner, read_volume
from nodulenet.imaging.dicom_header import numbers_of
from nodulenet.settings import PreprocessSettings

GEOMETRY = {
    "ImagePositionPatient": ("DS", 3),
    "ImageOrientationPatient": ("DS", 6),
    "PixelSpacing": ("DS", 2),
    "Rows": ("US", 1),
    "Columns": ("US", 1),
}
OTHERS = {
    "SliceThickness": ("DS", 1),
    "RescaleSlope": ("DS", 1),
    "RescaleIntercept": ("DS", 1),
    "NumberOfFrames": ("IS", 1),
    "SamplesPerPixel": ("US", 1),
    "InstanceNumber": ("IS", 1),
    "AcquisitionNumber": ("IS", 1),
    "ImagesInAcquisition": ("IS", 1),
    "BitsAllocated": ("US", 1),
    "BitsStored": ("US", 1),
    "HighBit": ("US", 1),
    "PixelRepresentation": ("US", 1),
}
TAGS = GEOMETRY | OTHERS
TEXTS = {
    "empty": "",
    "0": "0",
    "negative": "-1",
    "NaN": "NaN",
    "inf": "inf",
    "huge": "1e300",
    "text": "twelve",
    "underscore": "1_0",
    "other digits": "\uff11",
    "fraction": "1.5",
}
FAULTS = ("absent", *TEXTS, "too few", "too many", "sequence")


def spoil(path, tag, fault):
    """Write a value that the tag must not have, as its VR would hold it, else as text."""
    data = pydicom.dcmread(path)
    place = next((item for item in places(data) if tag in item), data)
    kind, count = TAGS[tag]
    held = place[tag].value if tag in place else 1
    values = list(held) if count > 1 else [held]
    if tag in place:
        del place[tag]
    if fault == "sequence":
        place[tag] = DataElement(tag, "SQ", [pydicom.Dataset()])
    elif fault == "too few" and count > 1:
        put(place, tag, kind, values[:-1])
    elif fault in ("too many", "too few"):
        put(place, tag, kind, [*values, values[-1]])
    elif fault != "absent":
        put(place, tag, kind, [TEXTS[fault]] * count)
    data.save_as(path)


def places(data):
    """The file's header, and every item of its functional groups."""
    yield data
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in data.get(name, []):
            for element in group:
                yield from element.value


def put(place, tag, kind, values):
    numbers = [float(v) if str(v).replace(".", "").lstrip("-").isdigit() else v for v in values]
    whole = all(isinstance(v, float) and v.is_integer() and 0 <= v < 65536 for v in numbers)
    if kind == "US" and whole:
        raw = np.array(numbers, "<u2").tobytes()
    else:  # as text, also where numbers should be binary
        kind = "LO" if kind == "US" else kind
        raw = "\\".join(map(str, values)).encode()
        raw += b" " * (len(raw) % 2)
    number = Tag(tag)
    place[number] = RawDataElement(number, kind, len(raw), raw, 0, False, True)


def series(folder, many, write_series):
    """A series of files, or (not `many`) one of frames; the HU that it has."""
    stored = write_series(folder)
    if many:
        return stored - 1024
    headers = [pydicom.dcmread(path) for path in folder.iterdir()]
    headers.sort(key=lambda data: data.ImagePositionPatient[2])
    for path in folder.iterdir():
        path.unlink()
    write_enhanced(folder / "e.dcm", stored, [data.ImagePositionPatient for data in headers])
    return stored - 1024


def believed(tag, fault, hu, changed):
    """HU and affine where a value is possible, and taken as it stands."""
    affine = GOOD[0].copy()
    hu = hu.astype(float)
    if fault == "fraction" and tag == "PixelSpacing":
        affine[[0, 1], [2, 1]] = 1.5
    if tag == "RescaleSlope" and fault == "fraction":
        hu[changed] = (hu[changed] + 1024) * 1.5 - 1024
    if tag == "RescaleIntercept":
        value = {"absent": 0, "0": 0, "negative": -1, "fraction": 1.5}[fault]
        hu[changed] += 1024 + value
    return hu, affine


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("many", [True, False], ids=["files", "frames"])
@pytest.mark.parametrize("every", [True, False], ids=["every slice", "one slice"])
@pytest.mark.parametrize("tag", TAGS)
def test_a_spoilt_number(tmp_path, tag, every, many, write_series):
    said = {}
    for number, fault in enumerate(FAULTS):
        folder = tmp_path / str(number)
        hu = series(folder, many, write_series)
        files = sorted(folder.iterdir())
        for path in files if every else files[:1]:
            with config.disable_value_validation():
                spoil(path, tag, fault)
        try:
            volume = read_volume(folder, "1.2.3")
            place = read_geometry(folder, "1.2.3")
        except InputError as error:
            said[fault] = str(error)
            continue
        wanted, affine = believed(tag, fault, hu, slice(None) if every or not many else FIRST)
        assert np.array_equal(volume.array, wanted), fault
        assert np.array_equal(volume.affine, affine), fault
        assert place[1] == volume.array.shape == GOOD[1], fault
        assert np.array_equal(place[0], affine), fault
        check_others(folder)
    for fault, line in said.items():
        assert "\n" not in line
        assert ".dcm" in line, line
        pixels = "PixelData" in line or "its pixels cannot be read" in line
        assert tag in line or (pixels and tag not in ESSENTIAL), (fault, line)
    assert set(said) >= REFUSED.get(tag, set()), REFUSED.get(tag, set()) - set(said)


def check_others(folder):
    """What else reads the headers takes them too."""
    (found,) = find_series(folder)[0]
    assert found.fault == ""
    thickness = read_scanner(folder, "1.2.3")["slice_thickness_mm"]
    assert thickness is None or thickness > 0


GOOD = (
    np.array([[0, 0, 0.7, 10], [0, 0.8, 0, 20], [2, 0, 0, 30], [0, 0, 0, 1]]),
    (5, 4, 6),
)
FIRST = int(np.flatnonzero(np.random.default_rng(5).permutation(5) == 0)[0])
ESSENTIAL = (*GEOMETRY, "RescaleSlope", "RescaleIntercept", "NumberOfFrames",
             "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")  # fmt: skip
BAD = {"empty", "NaN", "inf", "huge", "text", "underscore", "other digits", "too few", "too many",
       "sequence"}  # fmt: skip
REFUSED = {
    "ImagePositionPatient": {*BAD, "absent"},
    "ImageOrientationPatient": {*BAD, "absent", "0", "negative"},
    "PixelSpacing": {*BAD, "absent", "0", "negative"},
    "Rows": {*BAD, "absent", "0", "negative", "fraction"},
    "Columns": {*BAD, "absent", "0", "negative", "fraction"},
    "RescaleSlope": {*BAD, "0", "negative"},
    "RescaleIntercept": BAD,
    "NumberOfFrames": {*BAD - {"empty"}, "0", "negative", "fraction"} - {"too few"},
}


@pytest.mark.parametrize("many", [True, False], ids=["files", "frames"])
@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("PixelSpacing", [0, 1]),
        ("PixelSpacing", [-1, -1]),
        ("ImagePositionPatient", ["NaN", 0, 0]),
        ("ImageOrientationPatient", [0] * 6),
    ],
)
def test_a_scan_of_impossible_geometry_can_be_skipped(tmp_path, tag, value, many, write_series):
    folder = tmp_path / "ct"
    series(folder, many, write_series)
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        place = next(item for item in places(data) if tag in item)
        del place[tag]
        put(place, tag, "DS", value)
        data.save_as(path)
    write_json(tmp_path / "nodules.json", {"status": "ok"})
    nodules = {"record": tmp_path / "nodules.json"}
    ends = {"volume": "v.npy", "mask": "m.npy", "record": "v.json"}
    outputs = {name: tmp_path / end for name, end in ends.items()}
    scan = Scan("1.2.3", folder, on_bad_scan="skip")
    preprocess_scan(scan, nodules, PreprocessSettings(), outputs)
    status = read_json(outputs["record"])["status"]
    assert tag in status
    assert ".dcm" in status


@pytest.mark.parametrize("text", ["1", "-1.5", "+2", " 3 ", ".5", "5.", "1e-3", "1E2"])
def test_numbers_as_dicom_writes_them(text):
    data = pydicom.Dataset()
    with config.disable_value_validation():
        data.RescaleIntercept = text
        assert numbers_of(data, "RescaleIntercept", "x", 1) == (float(text),)
