import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.annotations import Mark, Reading, Roi, Session, read_reading, write_reading
from nodulenet.files import InputError

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
text = st.text(max_size=8)
rois = st.builds(
    Roi,
    z=numbers,
    inclusion=st.booleans(),
    vertices=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4).map(tuple),
    sop_uid=st.none() | text,
)
marks = st.builds(
    Mark,
    kind=st.sampled_from(["nodule", "small", "non_nodule"]),
    mark_id=text,
    rois=st.lists(rois, max_size=3).map(tuple),
    characteristics=st.dictionaries(text, st.integers(0, 6), max_size=3),
)
readings = st.builds(
    Reading,
    series_uid=text,
    sessions=st.lists(
        st.builds(Session, st.none() | text, st.lists(marks, max_size=2).map(tuple)), max_size=3
    ).map(tuple),
    source=text,
    sha256=text,
    flags=st.lists(text, max_size=2).map(tuple),
)


@given(reading=readings)
def test_a_reading_comes_back_as_it_was(tmp_path_factory, reading):
    path = tmp_path_factory.mktemp("store") / "reading.json"
    write_reading(reading, path)
    assert read_reading(path) == reading


@pytest.fixture
def stored(tmp_path):
    roi = Roi(1.5, True, ((1.0, 2.0),), "1.9")
    mark = Mark("nodule", "N", (roi,), {"margin": 4})
    path = tmp_path / "deep" / "1.2.json"
    write_reading(Reading("1.2", (Session("7", (mark,)),), "a.xml", "00", ("odd",)), path)
    return path


def test_nothing_but_the_file_is_left(stored):
    assert [path.name for path in stored.parent.iterdir()] == ["1.2.json"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"series_uid":"1.2"', '"series":"1.2"', "series_uid: Field required"),
        ('"series_uid":"1.2"', '"series_uid":12', "series_uid: Input should be a valid string"),
        ('"kind":"nodule"', '"kind":"lump"', "kind: Input should be 'nodule', 'small' or"),
        ("[[1.0,2.0]]", "[[1.0,2.0,3.0]]", "vertices.0: Tuple should have at most 2 items"),
        ("[[1.0,2.0]]", "[]", "vertices: Tuple should have at least 1 item"),
        ("[[1.0,2.0]]", "[[1.0,NaN]]", "vertices.0.1: Input should be a finite number"),
        ('"z":1.5', '"z":"high"', "z: Input should be a valid number"),
        ('"z":1.5', '"z":Infinity', "z: Input should be a finite number"),
        ('"inclusion":true', '"inclusion":"yes"', "inclusion: Input should be a valid boolean"),
        ('{"margin":4}', "[4]", "characteristics: Input should be a valid dict"),
        ('"reader":"7"', '"reader":7', "sessions.0.reader: Input should be a valid string"),
        ('"marks":[', '"marks":7,"more":[', "sessions.0.marks: Input should be a valid tuple"),
        ('"flags"', '"flagz"', "flagz: Unexpected keyword argument"),
    ],
)
def test_a_faulty_file_is_named(stored, old, new, message):
    content = stored.read_text()
    assert old in content
    stored.write_text(content.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_reading(stored)
    assert str(caught.value).startswith(f"{stored}: not a reading: ")
    assert message in str(caught.value)


def test_other_json_and_no_json_are_named(stored, tmp_path):
    for content in ("[]", '"text"', "3", "null"):
        stored.write_text(content)
        with pytest.raises(InputError, match=f"^{stored}: holds no JSON object"):
            read_reading(stored)
    stored.write_text(json.dumps({"series_uid": "1"})[:-3])
    with pytest.raises(InputError, match="not valid JSON"):
        read_reading(stored)
    with pytest.raises(InputError, match="No such file"):
        read_reading(tmp_path / "no.json")
