"""Hand-written LIDC XML, piece by piece."""

SERIES = "1.2.3"
CHARACTERISTICS = (
    "<characteristics><subtlety>3</subtlety><malignancy>5</malignancy></characteristics>"
)


def points(vertices: list[tuple[int, int]], tag: str = "edgeMap") -> str:
    return "".join(
        f"<{tag}><xCoord>{x}</xCoord><yCoord>{y}</yCoord></{tag}>\n" for x, y in vertices
    )


def roi(vertices: list[tuple[int, int]], z: str = "-10.5 ", inclusion: str = "TRUE") -> str:
    return (
        f"<roi><imageZposition>{z}</imageZposition><imageSOP_UID>1.9.{z.strip()}</imageSOP_UID>"
        f"<inclusion>{inclusion}</inclusion>{points(vertices)}</roi>"
    )


def nodule(name: str, *rois: str, characteristics: str = CHARACTERISTICS) -> str:
    return (
        f"<unblindedReadNodule><noduleID>{name}</noduleID>{characteristics}{''.join(rois)}"
        "</unblindedReadNodule>"
    )


def non_nodule(name: str, x: int, y: int, z: str = "-8") -> str:
    return (
        f"<nonNodule><nonNoduleID>{name}</nonNoduleID><imageZposition>{z}</imageZposition>"
        f"<imageSOP_UID>1.9.7</imageSOP_UID>{points([(x, y)], 'locus')}</nonNodule>"
    )


def document(*sessions: str, series: str = SERIES) -> str:
    readers = "".join(
        f"<readingSession><annotationVersion>3.12</annotationVersion>"
        f"<servicingRadiologistID>{number}</servicingRadiologistID>{marks}</readingSession>"
        for number, marks in enumerate(sessions, 100)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<LidcReadMessage xmlns="http://www.nih.gov">'
        f"<ResponseHeader><SeriesInstanceUid> {series} </SeriesInstanceUid></ResponseHeader>"
        f"{readers}</LidcReadMessage>"
    )


CXR = '<?xml version="1.0"?><IdriReadMessage xmlns="http://www.nih.gov/idri"/>'
