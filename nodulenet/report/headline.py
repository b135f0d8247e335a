"""What a report says first: the score, what it is of, and published figures beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from nodulenet.evaluation.results import ENSEMBLE, FrocFile, rate_text
from nodulenet.evaluation.truth import LUNA16
from nodulenet.report.sources import About
from nodulenet.report.tables import TextTable, decimals, with_interval, with_noun

PAPER = "NoduleNet (Tang, Zhang and Xie, MICCAI 2019), LIDC-IDRI in 6 folds"
# Figures that were published, for orientation: CPM under the challenge's protocol.
CHALLENGE_CPM = {
    "DeepLung": "0.842",
    "nnDetection, with 8 mirror images": "0.930",
    "MONAI RetinaNet": "0.936",
}
PUBLISHED_GAIN = "+0.103"
PUBLISHED_DICE = {PAPER: "0.83", "the same, measured by users of its weights": "0.72 to 0.74"}


@dataclass(frozen=True)
class Headline:
    """The first stage's CPM and its interval, the protocol in words, and the tables beside it."""

    stage: str
    cpm: str
    interval: str
    protocol: str
    facts: list[str]
    published: TextTable
    caveats: list[str]


def headline(about: About, frocs: Mapping[str, FrocFile], ablation: pd.DataFrame) -> Headline:
    """The headline of the first stage of `frocs`, stage -> its froc.json."""
    stage, froc = next(iter(frocs.items()))
    scored = froc.headline
    low, high = (decimals(end) for end in scored.interval)
    dice = (froc.segmentation or {}).get("dice_found")
    at_one = dict(zip(scored.rates, scored.sensitivity, strict=True))[1]
    facts = [
        f"sensitivity at 1 false positive per scan: {decimals(at_one)}",
        f"{scored.found} of {with_noun(scored.nodules, 'nodule')} were hit by a mark",
    ]
    if dice is not None:
        facts.append(f"mean Dice of the nodules found: {decimals(dice)}")
    if froc.all_scans:
        whole = froc.all_scans[ENSEMBLE]
        text = with_interval(whole.cpm, *whole.interval)
        facts.append(f"over all {whole.scans} scans, those without nodules too: CPM {text}")
    return Headline(
        stage=stage,
        cpm=decimals(scored.cpm),
        interval="" if scored.interval[0] is None else f"95 % interval {low} to {high}",
        protocol=protocol_text(froc),
        facts=facts,
        published=published(about, froc, ablation[ablation["stage"] == stage].iloc[0]),
        caveats=caveats(about, frocs),
    )


def protocol_text(froc: FrocFile) -> str:
    """The protocol of a froc.json: whose nodules, over which scans."""
    scored, stamp = froc.headline, froc.stamp
    over = f"{with_noun(scored.scans, 'scan')} with {with_noun(scored.nodules, 'nodule')}"
    if froc.protocol == LUNA16:
        return (
            "Protocol luna16: the challenge's nodules and excluded findings, over the"
            f" {scored.scans} of its {froc.listed} listed scans that were used"
            f" ({over})."
        )
    if stamp.given:
        nodules = "nodules as the annotations list them"
    else:
        nodules = f"nodules of {stamp.level} readers' marks or more ({stamp.consensus})"
    return f"Protocol nodulenet: {nodules}, over the scans that have one ({over})."


def published(about: About, froc: FrocFile, row: pd.Series) -> TextTable:
    """Published figures beside those of the stage; row: the stage's of ablation.csv."""
    scored = froc.headline
    rows = []
    whole, alone = (list(about.branches[row[name]]) for name in ("stage", "reference"))
    if "sr" in whole and alone == ["ncs"] and pd.notna(row["difference"]):
        ends = (row["difference_low"], row["difference_high"])
        gain = with_interval(row["difference"], *ends, sign=True)
        rows.append(("CPM less that of detection alone", PAPER, PUBLISHED_GAIN, gain))
    cpm = with_interval(scored.cpm, *scored.interval)
    if froc.protocol != LUNA16:
        cpm += f", protocol {froc.protocol}"
    rows += [("CPM, protocol luna16", who, value, cpm) for who, value in CHALLENGE_CPM.items()]
    dice = (froc.segmentation or {}).get("dice_found")
    own = "no masks" if dice is None else decimals(dice)
    rows += [("Dice of nodules found", who, value, own) for who, value in PUBLISHED_DICE.items()]
    heads = ("figure", "published of", "published", "here")
    return TextTable("Published figures, for orientation", heads, rows, labels=2)


def caveats(about: About, frocs: Mapping[str, FrocFile]) -> list[str]:
    """Why the numbers here cannot be compared with published ones, one sentence each."""
    froc = next(iter(frocs.values()))
    lines = []
    if about.synthetic:
        lines.append(
            f"The published figures are of real CT, and {about.synthetic} of the scans here"
            " synthetic: no score here can be compared with them."
        )
    if froc.protocol == LUNA16:
        if froc.headline.scans < (froc.listed or 0):
            lines.append(
                f"Only {froc.headline.scans} of the challenge's {froc.listed} scans were"
                " scored: this is no result of the challenge."
            )
    else:
        lines.append(
            "The CPMs of other systems were counted by the challenge's protocol, with other"
            " nodules, spheres and scans: those of protocol nodulenet do not compare."
        )
    if not about.outlined:
        lines.append(
            "This cohort has positions and diameters alone. Boxes took the place of outlines in"
            " training, and there is no Dice."
        )
    elif not any("sr" in branches for branches in about.branches.values()):
        lines.append("No evaluated stage segments, so there is no Dice.")
    lines += given_lines(frocs)
    if not about.synthetic:
        lines.append(
            "The published figures are of LIDC-IDRI as LUNA16 lists it. They compare only with the"
            " same scans, the same consensus and networks that have not seen the patients."
        )
    return lines


def given_lines(frocs: Mapping[str, FrocFile]) -> list[str]:
    """One sentence for each stage with weights given in the config."""
    lines = []
    for stage, one in frocs.items():
        if one.given_folds:
            names = ", ".join(
                fold if origin == stage else f"{fold} (of stage {origin})"
                for fold, origin in one.given_folds.items()
            )
            lines.append(
                f"Stage {stage}: the weights of {names} were given in the config and not trained"
                " here. If that network has seen these patients, the score says nothing."
            )
    return lines


def sensitivity_table(frocs: Mapping[str, FrocFile]) -> TextTable:
    """Sensitivity at the seven rates, CPM and counts of every stage and result set.

    Without a second branch the ensemble is the candidates' own.
    """
    rates = next(iter(frocs.values())).headline.rates
    rows = []
    for stage, froc in frocs.items():
        for name, scored in froc.shown.items():
            cpm = with_interval(scored.cpm, *scored.interval)
            cells = (decimals(value) for value in scored.sensitivity)
            found = f"{scored.found} of {scored.nodules}"
            rows.append((stage, name, *cells, cpm, found, str(scored.false_positives)))
    heads = ("stage", "set", *map(rate_text, rates), "CPM", "hit", "false positives")
    text = "Sensitivity at false positives per scan; CPM is the mean of the seven"
    return TextTable(text, heads, rows, labels=2)
