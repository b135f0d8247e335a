"""The layouts by their names."""

from collections.abc import Callable

from nodulenet.files import InputError
from nodulenet.layouts.common import Cohort, Request
from nodulenet.layouts.dlcs24 import dlcs24_cohort
from nodulenet.layouts.lidc import lidc_cohort
from nodulenet.layouts.lndb import lndb_cohort
from nodulenet.layouts.luna16 import luna16_cohort
from nodulenet.layouts.luna25 import luna25_cohort
from nodulenet.layouts.msd_lung import msd_lung_cohort

LAYOUTS: dict[str, Callable[[Request], Cohort]] = {
    "lndb": lndb_cohort,
    "luna25": luna25_cohort,
    "dlcs24": dlcs24_cohort,
    "msd_lung": msd_lung_cohort,
    "luna16": luna16_cohort,
    "lidc": lidc_cohort,
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
