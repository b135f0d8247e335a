from nodulenet.annotations import Mark, Reading, Roi, Session
from nodulenet.audit.same_marks import OtherSource, absence, extent, pair_marks, roi_differences

NAMES = ("the XML", "the database")


def roi(z, x=0.0, points=3):
    return Roi(z, True, tuple((x + k, 5.0 + 2 * k) for k in range(points)))


def mark(name, *rois, kind="nodule", margin=3):
    return Mark(kind, name, rois, {} if margin is None else {"margin": margin})


def reading(*sessions, readers=("a", "b", "c", "d", "e")):
    own = zip(readers, sessions, strict=False)
    return Reading("1.2", tuple(Session(name, marks) for name, marks in own), "file", "")


def why(first, second, place=(0, 0), most=100.0):
    return absence(first, place, OtherSource("the database", second, most), 0.5)


def test_the_same_marks_are_paired_whatever_their_sessions():
    a, b = mark("a", roi(1.0)), mark("b", roi(2.0))
    small = mark("s", roi(9.0, points=1), kind="small", margin=None)
    pairing = pair_marks(reading((small, a), (b,)), reading((b,), (a,)))
    assert pairing.pairs == (((0, 1), (1, 0)), ((1, 0), (0, 0)))
    assert pairing.first == pairing.second == ()


def test_marks_are_paired_by_the_outlines_they_share_not_by_name():
    # One ROI in common, against two; the same name with other ROIs is another mark.
    one, two = mark("0", roi(1.0), roi(2.0), roi(3.0)), mark("0", roi(9.0))
    first, second = mark("1", roi(1.0)), mark("2", roi(2.0), roi(3.0))
    pairing = pair_marks(reading((one, two)), reading((first,), (second,), (mark("0", roi(7.0)),)))
    assert pairing.pairs == (((0, 0), (1, 0)),)
    assert pairing.first == ((0, 1),)
    assert pairing.second == ((0, 0), (2, 0))


def test_a_mark_that_is_there_twice_needs_two():
    twice = mark("a", roi(1.0))
    pairing = pair_marks(reading((twice, twice)), reading((twice,)))
    assert (pairing.pairs, pairing.first) == ((((0, 0), (0, 0)),), ((0, 1),))


def test_causes_of_an_absence_come_from_the_data():
    point = mark("p", roi(1.0, points=1), margin=0)
    plain = mark("q", roi(2.0), margin=None)
    copy = mark("r", roi(2.0), margin=4)
    empty = reading(())
    assert why(reading((point,)), empty) == (
        "absent from the database; a single point; all characteristics 0, which is no rating"
    )
    assert why(reading((copy, plain)), empty, (0, 1)) == (
        "absent from the database; no characteristics; the outlines of session 1, mark 1 once more"
    )
    small = mark("s", roi(2.0), kind="small", margin=None)
    assert why(reading((copy,)), reading((small,))) == (
        "absent from the database; a mark of kind small there"
    )
    assert why(reading((copy,)), empty) == (
        "absent from the database, which holds no ROI of it; no reason is apparent"
    )
    many = reading((), (), (), (), (copy,))
    assert why(many, empty, (4, 0)) == "absent from the database; of session 5 of 5"
    # Three points 2 pixels apart in y at 0.5 mm.
    assert why(reading((copy,)), empty, most=1.5) == (
        "absent from the database; 2.0 mm large, the largest mark there is 1.5 mm"
    )


def test_the_extent_of_a_mark():
    assert extent(mark("a", roi(1.0), roi(-4.0)), 0.5) == 5.0
    assert extent(mark("a", roi(1.0), roi(1.0, x=30.0)), 0.5) == 16.0


def test_differences_of_outlines_in_words():
    full = mark("a", roi(1.0), roi(2.0, points=1), roi(3.0, points=1), roi(4.0))
    assert roi_differences(full, full, NAMES) == ""
    less = mark("a", roi(1.0), roi(2.0, points=1), roi(4.0))
    assert roi_differences(full, less, NAMES) == "1 ROI absent from the database, a single point"
    assert roi_differences(less, full, NAMES) == "1 ROI absent from the XML, a single point"
    none = mark("a", roi(5.0))
    assert roi_differences(full, none, NAMES) == (
        "4 ROIs absent from the database, 2 of them single points; 1 ROI absent from the XML"
    )
