"""`nodulenet export-weights`: a weights file as safetensors, with a card of where it comes from."""

import subprocess
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from nodulenet import __version__
from nodulenet.annotations.challenge_csv import read_cells
from nodulenet.cohort.folds import read_folds
from nodulenet.cohort.manifest import read_manifest
from nodulenet.files import InputError, own_artefact, read_json, sha256, workflow_folder, write_json
from nodulenet.findings.threshold import RESULT_SET, froc_beside, operating_point
from nodulenet.model.safetensors_file import is_exported, write_exported
from nodulenet.model.weights import FORMAT, Provenance, load_weights

SCORES = ("cpm", "interval", "scans", "nodules", "rates", "sensitivity", "thresholds")


def export_weights(source: Path, output: Path, rate: Fraction) -> dict[str, Any]:
    """Write a weights file as safetensors, and its card as JSON beside it; returns the card.

    source: results/{cohort}/fold{k}/{stage}/weights.pt of a finished run, whose tables say what it
    was trained and tested on. rate: false positives per scan at the default threshold of `nodulenet
    predict`. Raises `InputError` if there are no scores, they lack the rate, or for a faulty file.
    """
    if not is_exported(output):
        raise InputError(f"{output}: the name of exported weights ends in .safetensors")
    net, provenance = load_weights(source)
    scores = froc_beside(source)
    content = read_json(scores)
    threshold = {"rate": float(rate), "probability": operating_point(content, float(rate), scores)}
    try:
        points = {name: content["sets"][RESULT_SET][name] for name in SCORES}
    except (KeyError, TypeError) as error:
        raise InputError(f"{scores}: lacks {error}; evaluate the cohort again") from error
    card = {
        "format": FORMAT,
        "version": __version__,
        "commit": commit(),
        **provenance.plain(),
        "source_sha256": sha256(source),
        "started_from": started_from(source.resolve().parents[2], provenance),
        "trained_on": training_facts(source.resolve().parent, provenance),
        "operating_points": points | {"dice": mean_dice(content)},
        "threshold": threshold,
    }
    write_exported(net.state_dict(), card, output)
    facts = {"file": output.name, "bytes": output.stat().st_size, "sha256": sha256(output)}
    write_json(output.with_suffix(".json"), facts | card)
    return card


def training_facts(folder: Path, provenance: Provenance) -> dict[str, Any]:
    """The cohort's name and its numbers of scans, nodules and patients that were trained on.

    folder: {cohort}/fold{k}/{stage}; the patients of its validation.tsv were not trained on.
    """
    cohort = folder.parents[1]
    manifest, folds = read_manifest(cohort / "manifest.tsv"), read_folds(cohort / "folds.tsv")
    used = manifest[manifest["series_uid"].isin(folds.series_uid[folds.fold != provenance.fold])]
    if (watched := folder / "validation.tsv").exists():
        held = read_cells(watched, ("series_uid",), "\t")
        used = used[~used["series_uid"].isin(held["series_uid"])]
    return {
        "cohort": cohort.name,
        "scans": len(used),
        "patients": int(used["patient_id"].nunique()),
        "nodules": int(used["n_kept"].sum()),
    }


def started_from(cohort: Path, provenance: Provenance) -> list[str]:
    """SHA-256 of the weights that the training started from; empty if it started from nothing.

    cohort: its folder, whose init.json names them. Raises `CorruptArtefact` for a damaged one.
    """
    if provenance.settings.train.init == "none":
        return []
    record = cohort / "init.json"
    networks = read_json(record)
    with own_artefact(record):
        return [network["sha256"] for network in networks["networks"]]


def mean_dice(content: Mapping[str, Any]) -> float | None:
    """The mean Dice coefficient of all nodules in a froc.json; None without masks."""
    return (content.get("segmentation") or {}).get("dice_all")


def commit() -> str | None:
    """The commit of the clone that this runs from, with a `+` if it was changed; None elsewhere."""
    folder = workflow_folder()
    try:
        top, number, changed = (
            subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True)
            for command in (
                ("rev-parse", "--show-toplevel"),
                ("rev-parse", "HEAD"),
                ("status", "--porcelain"),
            )
        )
    except OSError:
        return None
    # An environment may lie within a clone of something else.
    if number.returncode or Path(top.stdout.strip()) != folder.resolve():
        return None
    return number.stdout.strip() + ("+" if changed.stdout.strip() else "")
