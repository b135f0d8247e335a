"""Patients held out of a training: who they are, and how they are scored."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rank_program
import small_training
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.cohort.folds import read_folds, write_folds
from nodulenet.files import InputError
from nodulenet.model import NoduleNet
from nodulenet.settings import Branch, FoldsSettings, InferenceSettings, Recipe
from nodulenet.training import train_stage
from nodulenet.training.dataset import load_training_scans
from nodulenet.training.distributed import Rank
from nodulenet.training.job import HeldOut, Run
from nodulenet.training.stages import resolve_stage
from nodulenet.training.validation import hold_out, split_patients, validation_terms

SCANS = 12
TERMS = ("ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr")


def settings(share: float | None = 0.4, seed: int = 0, **train: Any) -> dict[str, Any]:
    changed = copy.deepcopy(small_training.SETTINGS)
    changed["train"] |= train
    return changed | {"folds": {"number": 2, "validation": share, "seed": seed}}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twelve scans, of which each patient has two, both in the same fold."""
    manifest, folds = small_training.write_cohort(tmp_path_factory.mktemp("cohort"), scans=SCANS)
    numbers = np.arange(SCANS)
    table = read_folds(folds).assign(
        patient_id=[f"P{k // 4}{k % 2}" for k in numbers], fold=numbers % 2
    )
    write_folds(table, folds)
    return manifest, folds


@given(
    nodules=st.dictionaries(st.text("abc", min_size=1), st.integers(0, 3), min_size=1),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_a_share_of_the_patients_with_and_without_nodules_is_drawn(
    nodules: dict[str, int], share: float, seed: int
) -> None:
    ill = {patient for patient, count in nodules.items() if count}
    if len(ill) < 2:
        with pytest.raises(InputError, match=r"folds\.validation: . patient\(s\) with nodules"):
            split_patients(nodules, share, [seed])
        return
    chosen = split_patients(nodules, share, [seed])
    assert chosen == split_patients(dict(reversed(nodules.items())), share, [seed])
    assert 0 < len(chosen & ill) < len(ill)
    assert abs(len(chosen & ill) - share * len(ill)) <= 1
    assert abs(len(chosen - ill) - share * (len(nodules) - len(ill))) <= 0.5


def test_the_seed_and_the_fold_decide_who_is_drawn() -> None:
    nodules = {str(k): 1 for k in range(40)}
    draws = [split_patients(nodules, 0.25, [seed, fold]) for seed in (0, 1) for fold in (0, 1)]
    assert len(set(draws)) == 4
    assert {len(draw) for draw in draws} == {10}


def test_both_scans_of_a_patient_are_held_out_and_none_of_the_test_fold(
    cohort: tuple[Path, Path],
) -> None:
    outside = load_training_scans(*cohort, 1)
    scans, held = hold_out(outside, cohort[1], 1, FoldsSettings(validation=0.4))
    table = read_folds(cohort[1]).set_index("series_uid")
    of = [{table.patient_id[scan.series_uid] for scan in part} for part in (scans, held)]
    assert not of[0] & of[1]
    assert [len(part) for part in of] == [2, 1]
    assert [len(scans), len(held)] == [4, 2]
    assert {table.fold[scan.series_uid] for scan in [*scans, *held]} == {0}
    assert hold_out(outside, cohort[1], 1, FoldsSettings()) == (outside, [])


def test_who_is_held_out_depends_on_the_seed_and_the_fold_left_out(
    cohort: tuple[Path, Path],
) -> None:
    scans = load_training_scans(*cohort, 2)  # of which no fold is left out
    draws = {}
    for seed in range(4):
        for fold in range(4):
            own = FoldsSettings(validation=0.5, seed=seed)
            held = hold_out(scans, cohort[1], fold, own)[1]
            draws[seed, fold] = frozenset(scan.series_uid for scan in held)
    assert all(len({draws[seed, fold] for fold in range(4)}) > 1 for seed in range(4))
    assert all(len({draws[seed, fold] for seed in range(4)}) > 1 for fold in range(4))


class Scoring:
    """Stands in for the evaluation: notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[HeldOut, tuple[str, ...]]] = []

    def __call__(
        self,
        net: NoduleNet,
        held: HeldOut,
        branches: Sequence[Branch],
        settings: Recipe,
        rank: Rank,
    ) -> float:
        assert not net.training
        assert settings.inference == InferenceSettings(ncs_threshold=0.4)
        self.asked.append((held, tuple(branches)))
        return len(self.asked) / 8


def train(cohort: tuple[Path, Path], output: Path, own: dict[str, Any], score: Any = None) -> None:
    own = own | {"inference": {"ncs_threshold": 0.4}, "froc": {}}
    train_stage(small_training.job(cohort, "ncs", output, own), 1, score)


def test_the_table_has_the_losses_of_every_epoch_and_the_cpm_of_some(
    cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    score = Scoring()
    train(cohort, tmp_path / "ncs", settings(validate_every=2), score)
    history = pd.read_csv(tmp_path / "ncs/history.csv")
    assert history[["val_loss", "val_ncs_class", "val_ncs_box"]].notna().all(axis=None)
    assert history[["val_dfps_class", "val_sr"]].isna().all(axis=None)
    sums = history.val_ncs_class + history.val_ncs_box
    assert history.val_loss.tolist() == pytest.approx(sums.tolist())
    assert history.val_cpm.isna().tolist() == [True, False, False]  # the second and the last
    assert history.val_cpm.tolist()[1:] == [0.125, 0.25]
    held = pd.read_csv(tmp_path / "ncs/validation.tsv", sep="\t", dtype=str)
    assert list(held) == ["series_uid", "patient_id", "nodules"]
    assert len(held) == 2
    assert held.patient_id.nunique() == 1
    assert score.asked[0] == (HeldOut(*cohort, tuple(held.series_uid)), ("ncs",))


def test_who_is_watched_teaches_nothing(cohort: tuple[Path, Path], tmp_path: Path) -> None:
    """The weights are those of a training that never had these patients."""
    train(cohort, tmp_path / "watched", settings())
    held = set(pd.read_csv(tmp_path / "watched/validation.tsv", sep="\t", dtype=str).series_uid)
    table = read_folds(cohort[1])
    alone = tmp_path / "folds.tsv"
    write_folds(table[~table.series_uid.isin(held)], alone)
    train((cohort[0], alone), tmp_path / "without", settings(None))
    assert not (tmp_path / "without/validation.tsv").exists()
    ours, theirs = (small_training.tensors(tmp_path / name) for name in ("watched", "without"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_killed_stage_goes_on_with_the_same_patients_and_rates(
    cohort: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings(warmup=4)  # a rate that rises, across the kill
    train(cohort, tmp_path / "whole", own)
    seen = small_training.kill_in_epoch(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        train(cohort, tmp_path / "killed", own)
    table = (tmp_path / "killed/validation.tsv").read_bytes()
    train(cohort, tmp_path / "killed", own)
    assert len(seen) == 4  # the first epoch was not done again
    assert (tmp_path / "killed/validation.tsv").read_bytes() == table
    assert (tmp_path / "whole/validation.tsv").read_bytes() == table
    whole, resumed = (small_training.tensors(tmp_path / name) for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    columns = [f"val_{name}" for name in ("loss", "ncs_class", "ncs_box")]
    tables = [pd.read_csv(tmp_path / n / "history.csv")[columns] for n in ("whole", "killed")]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("other", [settings(0.6), settings(seed=1), settings(None)])
def test_a_checkpoint_of_other_patients_is_not_resumed(
    cohort: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    other: dict[str, Any],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_a, **_k: None)  # the finished stage keeps it
        train(cohort, tmp_path / "ncs", settings())
    train(cohort, tmp_path / "ncs", other)
    assert "not resumed" in caplog.text


def test_the_losses_of_a_network_are_the_same_again_and_change_nothing(
    cohort: tuple[Path, Path],
) -> None:
    own = settings(micro_batch=1)
    job = small_training.job(cohort, "full", Path(), own)
    scans = load_training_scans(*cohort, 1)
    run = Run(job, resolve_stage(job.settings.train, "full"), Rank())
    torch.manual_seed(0)
    net = NoduleNet(**own["model"]).eval()
    before = copy.deepcopy(net.state_dict())
    first, second = (validation_terms(net, run, scans) for _ in range(2))
    assert first == second
    assert tuple(first) == TERMS
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.slow
def test_two_processes_record_the_same_as_one(cohort: tuple[Path, Path], tmp_path: Path) -> None:
    for gpus in (1, 2):
        own = settings(0.5, micro_batch=1, gpus=gpus)
        train(cohort, tmp_path / str(gpus), own, rank_program.count_gathered)
    one, two = (pd.read_csv(tmp_path / name / "history.csv") for name in ("1", "2"))
    assert two.processes.tolist() == [2, 2, 2]
    compared = [name for name in one if name.startswith("val_") or name.endswith("live")]
    assert one.val_cpm.tolist()[-1] == len(pd.read_csv(tmp_path / "1/validation.tsv", sep="\t"))
    pd.testing.assert_frame_equal(one[compared], two[compared], rtol=1e-5)


def test_too_few_patients_are_an_error(tmp_path: Path) -> None:
    cohort = small_training.write_cohort(tmp_path)
    with pytest.raises(InputError, match=r"folds\.validation: 1 patient\(s\) with nodules"):
        train(cohort, tmp_path / "ncs", settings())
