"""One batch through the package and through the objective written a second time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plain_objective as plain
import published_network as published
import pytest
import small_training
import torch
from torch import Tensor

from nodulenet.model import NoduleNet, objective
from nodulenet.model.objective import TERMS, Crops, Objective
from nodulenet.model.released import published_name
from nodulenet.model.targets import AnchorTargets, BoxSample, padded_truth, truth_boxes
from nodulenet.settings import Recipe, SrSettings, TrainSettings
from nodulenet.training.engine import backward, shares_of
from nodulenet.training.feed import Part
from nodulenet.training.optimiser import start

SIDE = 32
# The published values, and those of the released code, but for the numbers, which are to be scarce
# in a crop of 32 voxels.
ALL_SIZED: tuple[set[int], ...] = (set(), set(), set())
"""Labels of unknown size in each crop."""
PUBLISHED: dict[str, Any] = {
    "margin_total": 8,
    "unsized": ALL_SIZED,
    "ncs": {
        "positive_iou": 0.5,
        "negative_iou": 0.1,
        "positives": "all",
        "negatives": 60,
        "hard_negatives": 3,
        "proposal_threshold": 0.5,
        "nms_iou": 0.1,
        "proposals": 20,
        "box_weight": 1,
        "weight": 1,
    },
    "dfps": {
        "positive_iou": 0.5,
        "negative_iou": 0.2,
        "positives": 2,
        "samples": 14,
        "regression": True,
        "box_weight": 1,
        "weight": 1,
    },
    "sr": {
        "threshold": 0.5,
        "nms_iou": 0.1,
        "snap": "outward",
        "alpha": 0.5,
        "beta": 0.5,
        "reduction": "sum",
        "weight": 1,
    },
}
RELEASED: dict[str, Any] = {
    "margin_total": 8,
    "unsized": ALL_SIZED,
    "ncs": {**PUBLISHED["ncs"], "negative_iou": 0.02, "positives": "one_per_crop"},
    "dfps": {**PUBLISHED["dfps"], "negative_iou": 0.1, "regression": False},
    "sr": {**PUBLISHED["sr"], "snap": "truncate"},
}
WEIGHTED: dict[str, Any] = {
    "margin_total": 8,
    "unsized": ALL_SIZED,
    "ncs": {**PUBLISHED["ncs"], "hard_negatives": 2, "box_weight": 0.5, "weight": 3},
    "dfps": {**PUBLISHED["dfps"], "box_weight": 5, "weight": 0.7},
    "sr": {**PUBLISHED["sr"], "alpha": 0.3, "beta": 0.7, "reduction": "mean", "weight": 1.5},
}
UNSIZED: dict[str, Any] = {**PUBLISHED, "unsized": ({4}, {2}, set())}
"""The largest nodule of three, and the only one of a crop, have no known size."""
SEEDS = [30, 31, 32]


@dataclass
class Ours:
    """What the package made of the batch."""

    terms: dict[str, Tensor]
    anchors: AnchorTargets
    proposals: tuple[Tensor, Tensor, Tensor]
    samples: BoxSample
    segmented: list[tuple[int, plain.Span]]
    gradients: dict[str, Tensor | None]


Theirs = tuple[dict[str, Tensor], plain.Chosen, published.State]
"""Loss terms, choices and gradients as written a second time."""


def draw_batch() -> tuple[np.ndarray, np.ndarray]:
    """Crops with three nodules, with one, and with none."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (3, SIDE, SIDE, SIDE)).astype(np.uint8)
    labels = np.zeros(images.shape, np.uint8)
    labels[0, 3:9, 4:12, 5:10] = 1
    labels[0, 17:29, 14:25, 16:30] = 4
    labels[0, 4:12, 18:27, 20:26] = 5
    labels[1, 12:17, 11:17, 20:27] = 2
    images[labels > 0] = 230
    return images, labels


def part_of(
    batch: tuple[np.ndarray, np.ndarray],
    margin: float,
    weight: float = 1.0,
    unsized: tuple[set[int], ...] = ALL_SIZED,
) -> Part:
    """The batch as the package is given it."""
    images, labels = batch
    nodules = labels > 0
    crops = zip(labels, unsized[: len(labels)], strict=True)
    truth = padded_truth([truth_boxes(crop, margin, own) for crop, own in crops])
    image, nodule, *truth = map(torch.from_numpy, (images[:, None], nodules[:, None], *truth))
    return Part(Crops(image, nodule, nodules, *truth, torch.tensor(SEEDS)), weight)


@pytest.fixture(scope="module", params=["published", "released", "weighted", "unsized"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    own = {
        "published": PUBLISHED,
        "released": RELEASED,
        "weighted": WEIGHTED,
        "unsized": UNSIZED,
    }
    return own[request.param]


@pytest.fixture(scope="module")
def batch() -> tuple[np.ndarray, np.ndarray]:
    return draw_batch()


@pytest.fixture(scope="module")
def state() -> published.State:
    """Weights with which every step has something to choose from."""
    state = published.random_state(11, narrow=True)
    state["rpn.logits.weight"] *= 0.2
    state["rpn.deltas.weight"] *= 0.05
    state["rcnn_head.logit.weight"] *= 0.2
    state["rcnn_head.delta.weight"] *= 0.1
    return state


@pytest.fixture(scope="module")
def net(state: published.State) -> NoduleNet:
    net = NoduleNet(width=0.25).eval()
    net.load_state_dict({name: state[published_name(name)] for name in net.state_dict()})
    return net


@pytest.fixture(scope="module")
def ours(
    net: NoduleNet, batch: tuple[np.ndarray, np.ndarray], settings: dict[str, Any]
) -> Iterator[Ours]:
    """Loss terms and gradients by the package, with what its steps chose."""
    # What is published is the default: only the numbers are given.
    scarce = {"ncs": ("negatives", "proposals"), "dfps": ("positives", "samples"), "sr": ()}
    if settings is not PUBLISHED:
        scarce = {name: tuple(settings[name]) for name in scarce}
    own = {name: {key: settings[name][key] for key in keys} for name, keys in scarce.items()}
    own["train"] = {"amp": False}
    wanted = Objective(("ncs", "dfps", "sr"), Recipe.model_validate(own))
    seen: dict[str, list[Any]] = {"anchors": [], "proposals": [], "samples": []}
    segmented = []

    def watch(name: str, real: Any) -> Any:
        def watched(*args: Any) -> Any:
            seen[name].append(real(*args))
            return seen[name][-1]

        return watched

    def crops_of(_: Any, args: tuple) -> None:
        _, groups = args
        for size, places in groups:
            for item, *low in places.tolist():
                ends = [a + n for a, n in zip(low, size, strict=True)]
                segmented.append((item, tuple(zip(low, ends, strict=True))))

    hook = net.sr.register_forward_pre_hook(crops_of)
    with pytest.MonkeyPatch.context() as patch:
        for name, call in (
            ("anchors", "anchor_targets"),
            ("proposals", "propose"),
            ("samples", "sample_boxes"),
        ):
            patch.setattr(objective, call, watch(name, getattr(objective, call)))
        part = part_of(batch, settings["margin_total"], unsized=settings["unsized"])
        terms = dict(zip(TERMS, backward(net, part, wanted), strict=True))
    hook.remove()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    (anchors,), (proposals,), (samples,) = seen.values()
    yield Ours(terms, anchors, proposals, samples, segmented, gradients)
    net.zero_grad()


@pytest.fixture(scope="module")
def theirs(
    state: published.State, batch: tuple[np.ndarray, np.ndarray], settings: dict[str, Any]
) -> Theirs:
    exact = {key: value.double() for key, value in state.items()}
    learned = {key: value for key, value in exact.items() if "running" not in key}
    for value in learned.values():
        value.requires_grad_()
    terms, chosen = plain.loss_terms(exact, *batch, settings, SEEDS)
    sum(terms.values()).backward()
    return terms, chosen, {k: v.grad for k, v in learned.items() if v.grad is not None}


def test_the_batch_leaves_something_to_choose(theirs: Theirs, settings: dict[str, Any]) -> None:
    """Every rule decides something here, else the other tests would not see it."""
    _, chosen, _ = theirs
    assert [bool(rows) for rows in chosen.positives] == [True, True, False]
    assert all(len(rows) == 60 for rows in chosen.negatives)
    assert len(chosen.proposals[0]) == 20  # the cap
    owners = [[owner for _, owner in crop] for crop in chosen.samples]
    assert sum(owner >= 0 for owner in owners[0]) > 1
    sizeless = {
        own[owner]
        for own, crop in zip(chosen.sizeless, owners, strict=True)
        for owner in crop
        if owner >= 0
    }
    assert sizeless == ({True, False} if settings is UNSIZED else {False})
    assert 1 < len(chosen.segmented) < chosen.likely


def test_the_same_anchors_are_chosen(ours: Ours, theirs: Theirs) -> None:
    _, chosen, _ = theirs
    for labels, _, negatives, drawn, *expected in zip(
        *ours.anchors, chosen.positives, chosen.truths, chosen.negatives, strict=True
    ):
        positives = (labels >= 0).nonzero()[:, 0]
        found = positives.tolist(), labels[positives].tolist(), negatives[drawn].tolist()
        assert [*found] == expected


def test_the_same_boxes_are_proposed_and_sampled(ours: Ours, theirs: Theirs) -> None:
    _, chosen, _ = theirs
    boxes, valid, finite = ours.proposals
    assert finite
    for own, real, expected in zip(boxes, valid, chosen.proposals, strict=True):
        np.testing.assert_allclose(own[real], expected, atol=1e-3)
    for own, truths, real, pairs in zip(*ours.samples, chosen.samples, strict=True):
        np.testing.assert_allclose(own[real], [box for box, _ in pairs], atol=1e-3)
        assert truths[real].tolist() == [owner for _, owner in pairs]


def test_the_same_crops_are_segmented(ours: Ours, theirs: Theirs) -> None:
    assert sorted(ours.segmented) == sorted(theirs[1].segmented)


def test_the_loss_terms_are_the_same(ours: Ours, theirs: Theirs) -> None:
    terms, _, _ = theirs
    assert {name for name, term in ours.terms.items() if term} == terms.keys()
    for name, term in terms.items():
        assert term.item() > 0.01
        assert float(ours.terms[name]) == pytest.approx(term.item(), rel=1e-4), name


def test_the_gradients_are_the_same(ours: Ours, theirs: Theirs) -> None:
    expected = theirs[2]
    used = {name for name in ours.gradients if published_name(name) in expected}
    assert {name for name, grad in ours.gradients.items() if grad is not None} == used
    assert len(expected) == len(used)
    for name in used:
        exact, grad = expected[published_name(name)], ours.gradients[name]
        assert grad is not None
        size = float(exact.abs().max())
        torch.testing.assert_close(grad.double(), exact, atol=2e-4 * size + 1e-7, rtol=0, msg=name)


def test_boxes_of_unknown_size_are_classified_and_not_learned(
    net: NoduleNet, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    """The class losses are as with known sizes; a batch without a known size has no box loss."""
    own = {name: PUBLISHED[name] for name in ("ncs", "dfps")} | {"train": {"amp": False}}
    wanted = Objective(("ncs", "dfps"), Recipe.model_validate(own))
    crops = {
        "all": ALL_SIZED,
        "some": UNSIZED["unsized"],
        "none": ({1, 4, 5}, {2}, set()),
    }
    terms = {}
    for name, unsized in crops.items():
        found = shares_of(net, part_of(batch, 8, unsized=unsized), wanted)
        terms[name] = {term: value.item() for term, value in found.items()}
    for term in ("ncs_class", "dfps_class"):
        assert terms["some"][term] == terms["none"][term] == terms["all"][term]
    for term in ("ncs_box", "dfps_box"):
        assert terms["none"][term] == 0
        assert 0 < terms["some"][term] != terms["all"][term] > 0


def test_a_part_of_a_batch_has_its_weight_in_means_and_the_whole_of_sums(
    net: NoduleNet, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    for reduction, factor in (("sum", 1), ("mean", 0.25)):
        settings = Recipe(sr=SrSettings(reduction=reduction), train=TrainSettings(amp=False))
        wanted = Objective(("ncs", "dfps", "sr"), settings)
        whole, part = (shares_of(net, part_of(batch, 8, weight), wanted) for weight in (1.0, 0.25))
        assert whole["sr"].item() > 0
        assert part["sr"].item() == pytest.approx(factor * whole["sr"].item())
        for name in ("ncs_class", "ncs_box", "dfps_class", "dfps_box"):
            assert part[name].item() == pytest.approx(whole[name].item() / 4)


def test_a_step_is_that_of_gradient_descent_with_momentum_and_an_l2_penalty(net: NoduleNet) -> None:
    """Three steps by hand; what has no gradient is neither moved nor shrunk."""
    job = small_training.job((Path(), Path()), "ncs", Path(), {"model": {"width": 0.25}})
    own, optimiser = start(job, torch.device("cpu"))
    own.load_state_dict(net.state_dict())
    draw = torch.Generator().manual_seed(0)
    exact = {name: p.detach().double() for name, p in own.named_parameters()}
    momenta = {name: torch.zeros_like(p) for name, p in exact.items()}
    for _ in range(3):
        for name, p in own.named_parameters():
            if not name.startswith("sr."):
                p.grad = torch.randn(p.shape, generator=draw) * 1e-4  # as large as the penalty
                exact[name], momenta[name] = plain.sgd_step(
                    exact[name], p.grad.double(), momenta[name], lr=0.01
                )
        optimiser.step()
    for name, p in own.named_parameters():
        torch.testing.assert_close(p.detach().double(), exact[name], atol=3e-7, rtol=0, msg=name)
        if name.startswith("sr."):
            assert p not in optimiser.state
        else:
            buffer = optimiser.state[p]["momentum_buffer"].double()
            torch.testing.assert_close(buffer, momenta[name], atol=1e-9, rtol=1e-5, msg=name)
