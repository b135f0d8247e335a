"""Fixtures that write DICOM."""

import dicom_files
import pytest


@pytest.fixture
def write_slice():
    """Write one CT slice: (path, pixels, position, orientation, series, **tags)."""
    return dicom_files.write_slice


@pytest.fixture
def write_series():
    """Write a folder of slices: (folder, heights, orientation, start, size)."""
    return dicom_files.write_series
