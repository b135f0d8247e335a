"""What one check found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "optional", "missing"]
INSTALL = "pip install -c envs/constraints.txt -e ."


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    state: `ok`; `missing`, a run needs it; `optional`, a run goes on without it. text: what was
    found and, unless it is ok, what to do.
    """

    state: State
    name: str
    text: str
