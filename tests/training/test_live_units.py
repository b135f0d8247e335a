"""The share of live units, counted by hand, and the warning where DFPS does not learn."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import small_training
import torch

from nodulenet.model import NoduleNet
from nodulenet.training.distributed import Rank
from nodulenet.training.engine import EpochResult
from nodulenet.training.history import history_row, log_epoch
from nodulenet.training.job import Run
from nodulenet.training.live_units import live_share, mean_shares, stays_at_chance, watched
from nodulenet.training.stages import Stage

LN2 = math.log(2)


def test_a_unit_lives_that_is_positive_for_any_box() -> None:
    activations = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 2.0, 3.0, 0.0]])
    assert float(live_share(activations)) == 0.5
    maps = torch.zeros(2, 3, 4, 4, 4)
    maps[1, 2, 3, 0, 1] = 0.1
    assert float(live_share(maps)) == pytest.approx(1 / 3)


def test_the_shares_are_means_over_the_passes() -> None:
    net = NoduleNet(width=0.1)
    first, second = net.dfps.body[0], net.dfps.body[2]
    with torch.no_grad():
        first.weight.zero_()
        second.weight.zero_()
        first.bias.copy_(torch.arange(len(first.bias)) - 9.5)  # the first ten are dead
        second.bias.fill_(-1)
    shape = (3, first.in_features // 343, 7, 7, 7)
    with watched(net) as shares:
        net.dfps(torch.randn(shape))
        with torch.no_grad():
            first.bias.fill_(1)
        net.dfps(torch.randn(shape))
    net.dfps(torch.randn(shape))  # not watched any more
    units = len(first.bias)
    found = mean_shares(shares, Rank(), torch.device("cpu"))
    assert found == pytest.approx({"dfps_live_1": ((units - 10) / units + 1) / 2, "dfps_live_2": 0})


def test_dfps_learns_nothing_while_every_step_is_near_ln_2() -> None:
    near = [LN2 + 0.019, LN2 - 0.019, LN2, LN2, LN2]
    assert stays_at_chance(near, 1)
    assert not stays_at_chance([*near, LN2 + 0.021], 1)
    assert not stays_at_chance([*near, LN2 - 0.021], 1)
    assert not stays_at_chance(near[:4], 1)  # too few to tell
    assert stays_at_chance([3 * loss for loss in near], 3)
    assert not stays_at_chance([], 1)
    assert not stays_at_chance([0.0] * 9, 1)  # no such branch


def test_the_log_warns_of_it(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage("dfps", ["ncs", "dfps"], 15, 65, 200)
    job = replace(small_training.job((Path(), Path()), "dfps", Path(), {}), fold=2)
    run = Run(job, stage, Rank())
    for stuck in (False, True):
        result = EpochResult(1.0, {}, 9, 9, 1.0, 0.0, {"dfps_live_1": 0.04}, stuck)
        row = history_row(run, 3, result, {})
        with caplog.at_level(logging.WARNING):
            log_epoch(run, 3, result, row)
        assert len(caplog.records) == stuck
    assert "fold 2 dfps epoch 3: dfps_class stayed near ln 2" in caplog.text
    assert "4 % of the units of its first layer live" in caplog.text
    assert "train.warmup" in caplog.text
