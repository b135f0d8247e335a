import pytest
from lidc_text import CXR, document, nodule, roi

from nodulenet.annotations import CXR_REASON, find_readings
from nodulenet.files import InputError


def test_readings_are_found_by_their_headers(write, tmp_path):
    b = write(document("", series="1.2"), "b/1.9.xml")
    a = write(document("", series="1.1"), "a/B.XML")
    x_ray = write(CXR, "a/c.xml")
    other = write("<html/>", "page.xml")
    broken = write("<Lidc", "z.xml")
    write("no xml", "notes.txt")
    found, passed = find_readings(tmp_path)
    assert found == {"1.1": a, "1.2": b}
    assert [path for path, _ in passed] == [x_ray, other, broken]
    assert [reason.split(":")[0] for _, reason in passed] == [
        CXR_REASON,
        "no LIDC reading",
        "not well-formed XML",
    ]


def test_of_equal_readings_the_first_path_is_taken(write, tmp_path):
    mark = nodule("N", roi([(1, 1), (3, 1), (3, 3)]))
    second = write(document(mark), "b.xml")
    first = write(document(mark).replace("><", "> <"), "a/z.xml")
    third = write(document(mark), "b/a.xml")
    found, passed = find_readings(tmp_path)
    assert list(found.values()) == [first]
    assert sorted(passed) == sorted(
        [
            (third, f"the same reading as another file: {first}"),
            (second, f"the same reading as another file: {first}"),
        ]
    )


def test_readings_that_differ_are_an_error(write, tmp_path):
    write(document(nodule("N", roi([(1, 1), (3, 1)]))), "a.xml")
    other = write(document(nodule("N", roi([(1, 1), (3, 2)]))), "b.xml")
    with pytest.raises(InputError, match=f"{other}: its reading of 1.2.3 differs from that in"):
        find_readings(tmp_path)


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_readings(tmp_path / "no")
    assert find_readings(tmp_path) == ({}, [])
