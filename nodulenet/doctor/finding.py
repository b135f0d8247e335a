"""The result of one check."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "optional", "missing"]
WORKFLOW = Path(__file__).parents[1] / "workflow"
"""The workflow in a wheel, beside the modules; in a clone it is at the root."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor.

    state: `ok`; `missing`: a run needs it; `optional`: a run works without it. text: what was found
    and, unless it is ok, what to do.
    """

    state: State
    name: str
    text: str


def install(extra: str = "") -> str:
    """The command that installs missing packages, in a clone or for an installed wheel."""
    wheel = WORKFLOW.is_dir()
    name = "nodulenet" if wheel else "."
    what = f'"{name}[{extra}]"' if extra else name
    constraints = Path("envs/constraints.txt")
    if wheel:
        return f"pip install -c {WORKFLOW / constraints} {what}"
    return f"pip install -c {constraints} -e {what}"
