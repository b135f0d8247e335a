"""The layouts by their names."""

from collections.abc import Callable

from nodulenet.files import InputError
from nodulenet.layouts.common import Cohort, Request
from nodulenet.layouts.dlcs24 import read_dlcs24
from nodulenet.layouts.lidc import read_lidc
from nodulenet.layouts.lndb import read_lndb
from nodulenet.layouts.luna16 import read_luna16
from nodulenet.layouts.luna25 import read_luna25
from nodulenet.layouts.msd_lung import read_msd_lung

LAYOUTS: dict[str, Callable[[Request], Cohort]] = {
    "lndb": read_lndb,
    "luna25": read_luna25,
    "dlcs24": read_dlcs24,
    "msd_lung": read_msd_lung,
    "luna16": read_luna16,
    "lidc": read_lidc,
}
WITH_LUNGS = ("luna16", "lidc")
WITH_POSITIONS = ("luna25", "dlcs24")


def read_layout(name: str, request: Request) -> Cohort:
    """The cohort of this layout in a folder.

    Raises `InputError` for a folder that is not of the layout, a malformed table of it, and a
    request that the layout cannot answer.
    """
    if request.lung_masks and name not in WITH_LUNGS:
        raise InputError(f"--lung-masks: only for --layout {' and '.join(WITH_LUNGS)}")
    if request.axes != "LPS" and name not in WITH_POSITIONS:
        raise InputError(f"--axes: only for --layout {' and '.join(WITH_POSITIONS)}")
    return LAYOUTS[name](request)
